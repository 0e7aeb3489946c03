import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { MalformedReply } from '../../../src/ship/kafka/bytes.js'
import { CAUSES, ERRORS } from '../../../src/ship/kafka/error-table.js'
import {
  causeOfThrown,
  codeOfThrown,
  errorOf,
  isAboutLeadership,
  outcomeOfError,
} from '../../../src/ship/kafka/outcome.js'
import { SinkDenied, SinkUnavailable } from '../../../src/ship/sink.js'

describe('the table of errors', () => {
  it('decides every code from -1 to the highest, once, and none of them is 0', () => {
    const codes = ERRORS.map(([code]) => code).toSorted((a, b) => a - b)
    expect(codes).toEqual([-1, ...Array.from({ length: 133 }, (_, index) => index + 1)])
  })

  it('has the names that kafkajs knows', () => {
    const text = readFileSync(createRequire(import.meta.url).resolve('kafkajs/src/protocol/error.js'), 'utf8')
    const theirs = [...text.matchAll(/type: '(\w+)',\s+code: (-?\d+)/g)].map(
      ([, name, code]) => `${code} ${name}`,
    )
    const ours = new Set(ERRORS.map(([code, name]) => `${code} ${name}`))
    expect(theirs.length).toBeGreaterThan(80)
    // Kafka gave these other names after kafkajs was released.
    const renamed = [
      '-99 KAFKAJS_UNKNOWN_ERROR_CODE',
      '-1 UNKNOWN',
      '6 NOT_LEADER_FOR_PARTITION',
      '14 GROUP_LOAD_IN_PROGRESS',
    ]
    renamed.push('15 GROUP_COORDINATOR_NOT_AVAILABLE', '16 NOT_COORDINATOR_FOR_GROUP')
    expect(theirs.filter((row) => !ours.has(row) && !renamed.includes(row))).toEqual([])
  })

  it('uses every cause that a reply can lead to', () => {
    const used = new Set(ERRORS.map(([, , , cause]) => cause))
    const others = Object.keys(CAUSES).filter((cause) => !used.has(cause as never))
    // Not from a reply: the installed kafkajs, and a codec that we cannot read.
    expect(others).toEqual(['kafkajs_unknown', 'unreadable_codec'])
  })

  it('sends a record to the rejects only where Kafka judged it by itself', () => {
    const final = ERRORS.filter(([, , decision]) => decision === 'poison' || decision === 'too_large')
    expect(final.map(([code]) => code)).toEqual([10, 18, 87])
  })
})

it.each([
  [3, 'retry', 'topic_missing', true],
  [6, 'retry', 'leader_moved', true],
  [10, 'too_large', 'batch_too_large', false],
  [19, 'retry', 'not_enough_replicas', false],
  [29, 'retry', 'not_authorized', false],
  [32, 'retry', 'clock_wrong', false],
  [45, 'unsettled', 'sequence_unknown', false],
  [46, 'unsettled', 'sequence_unknown', false],
  [47, 'unsettled', 'producer_fenced', false],
  [59, 'unsettled', 'sequence_unknown', false],
  [87, 'poison', 'record_refused', false],
  [90, 'unsettled', 'producer_fenced', false],
  // Of a broker that is newer than the table.
  [999, 'retry', 'unexpected', false],
])('error %i: %s, %s', (code, kind, cause, leadership) => {
  expect(outcomeOfError(code, 'Produce t-0')).toMatchObject({ kind, cause: { code: cause } })
  expect(isAboutLeadership(code)).toBe(leadership)
})

it('the message names request, partition, Kafka’s error and what the broker said', () => {
  const outcome = outcomeOfError(87, 'Produce t-0', 'no key')
  expect(outcome).toMatchObject({
    cause: { message: expect.stringContaining('(Produce t-0: INVALID_RECORD 87, no key)') },
  })
})

it('a missing right is SinkDenied, everything else SinkUnavailable', () => {
  expect(errorOf(29, 'Fetch')).toBeInstanceOf(SinkDenied)
  expect(errorOf(6, 'Fetch')).toBeInstanceOf(SinkUnavailable)
})

it('what is thrown is told apart: the network, credentials, mistakes of a program', () => {
  const named = (name: string): Error => Object.assign(new Error('why'), { name })
  const code = (error: unknown): string => causeOfThrown(error, 'Produce').code
  expect(code(named('KafkaJSConnectionError'))).toBe('unreachable')
  expect(code(named('KafkaJSSASLAuthenticationError'))).toBe('authentication_failed')
  expect(code(new MalformedReply('short'))).toBe('unexpected')
  expect(code(new TypeError('a bug'))).toBe('unexpected')
  expect(code(new SinkUnavailable({ code: 'topic_missing', message: '' }))).toBe('topic_missing')
})

it('finds Kafka’s code behind what kafkajs wraps around it', () => {
  const protocol = Object.assign(new Error('in sync'), { name: 'KafkaJSProtocolError', code: 19 })
  expect(codeOfThrown(Object.assign(new Error('retries'), { cause: protocol }))).toBe(19)
  const refused = Object.assign(new Error('refused'), {
    name: 'KafkaJSConnectionError',
    code: 'ECONNREFUSED',
  })
  expect(codeOfThrown(refused)).toBeUndefined()
})
