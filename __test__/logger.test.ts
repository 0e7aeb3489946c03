import { describe, expect, it } from 'vitest'
import { ManualClock } from '../src/clock.js'
import { configWith, type Config } from '../src/config.js'
import { createLogger, type Logger } from '../src/logger.js'

function lines(values: Partial<Config>, isTTY: boolean, work: (logger: Logger) => void): string[] {
  const written: string[] = []
  const sink = { isTTY, write: (line: string) => written.push(line) }
  work(createLogger(configWith(values), sink, new ManualClock(1_795_500_000_000)))
  return written
}

describe('the logger', () => {
  it('writes one JSON object a line', () => {
    const [line] = lines({ logFormat: 'json' }, true, (logger) =>
      logger.warn({ used: 0.7 }, 'the log is 70 % full'),
    )
    expect(JSON.parse(line!)).toEqual({
      level: 'warn',
      time: '2026-11-24T06:00:00.000Z',
      used: 0.7,
      msg: 'the log is 70 % full',
    })
    expect(line!.endsWith('\n')).toBe(true)
  })

  it('writes text on a terminal, JSON elsewhere', () => {
    const say = (logger: Logger): void => logger.info({ port: 1, of: 'ops', list: [1] }, 'ready')
    expect(lines({}, true, say)).toEqual(['2026-11-24T06:00:00.000Z INFO  ready port=1 of=ops list=[1]\n'])
    expect(lines({}, false, say)[0]).toMatch(/^\{/)
    expect(lines({ logFormat: 'text' }, false, say)[0]).toMatch(/^2026/)
  })

  it('keeps the stack of an error in both', () => {
    const fail = (logger: Logger): void => logger.error({ err: new Error('broken') }, 'unexpected')
    expect(lines({}, true, fail)[0]).toMatch(/ERROR unexpected\n {2}Error: broken\n {6}at /)
    expect(JSON.parse(lines({}, false, fail)[0]!)).toMatchObject({ err: { message: 'broken' } })
  })

  it('keeps to its level', () => {
    const both = (logger: Logger): void => {
      logger.info('no')
      logger.error('yes')
    }
    expect(lines({ logLevel: 'warn' }, false, both).length).toBe(1)
    expect(lines({ logLevel: 'silent' }, false, both).length).toBe(0)
  })
})
