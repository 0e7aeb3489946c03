import { expect, it } from 'vitest'
import { Budget } from '../src/budget.js'

it('P7: gives out what it has, refuses the rest and counts refusals', () => {
  const budget = new Budget(100)
  expect([budget.take(60), budget.take(41), budget.take(40), budget.take(1)]).toEqual([
    true,
    false,
    true,
    false,
  ])
  expect([budget.usedBytes, budget.refusals, budget.bytesMax]).toEqual([100, 2, 100])
  budget.give(40)
  expect([budget.usedBytes, budget.take(40), budget.take(0)]).toEqual([60, true, true])
})

it('a refusal takes nothing', () => {
  const budget = new Budget(10)
  budget.take(11)
  expect([budget.usedBytes, budget.take(10)]).toEqual([0, true])
})

it('what is announced has to fit, and is not taken', () => {
  const budget = new Budget(100)
  expect([budget.take(10, 91), budget.take(10, 90), budget.take(10, 80)]).toEqual([false, true, true])
  expect([budget.usedBytes, budget.refusals]).toEqual([20, 1])
})

it('notices that more is given back than was taken', () => {
  const budget = new Budget(10)
  budget.take(5)
  budget.give(5)
  expect(() => budget.give(1)).toThrow('more memory was given back')
})
