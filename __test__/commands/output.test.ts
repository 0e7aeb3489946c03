import { Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { Output, OutputClosed, Progress, table } from '../../src/commands/output.js'

/** A reader that takes each piece only when it is told to. */
class SlowReader extends Writable {
  readonly taken: Buffer[] = []
  private readonly waiting: (() => void)[] = []

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.waiting.push(() => {
      this.taken.push(Buffer.from(chunk))
      done()
    })
  }

  take(): void {
    this.waiting.shift()?.()
  }
}

describe('Output', () => {
  it('hands on in large pieces what was put in in small ones', async () => {
    const reader = new SlowReader()
    const output = new Output(reader)
    for (let i = 0; i < 100; i++) await output.text(`line ${i}\n`)
    const flushed = output.flush()
    await Promise.resolve()
    reader.take()
    await flushed
    expect(reader.taken.length).toBe(1)
    expect(String(reader.taken[0])).toBe(Array.from({ length: 100 }, (_, i) => `line ${i}\n`).join(''))
  })

  it('flushes only when the reader has everything, however many wait for it', async () => {
    const reader = new SlowReader()
    const output = new Output(reader)
    await output.text('first')
    const first = output.flush()
    await output.text('second')
    let secondDone = false
    const second = output.flush().then(() => (secondDone = true))
    // Nothing left to write, but what is under way is not out yet.
    let thirdDone = false
    const third = output.flush().then(() => (thirdDone = true))
    await Promise.resolve()
    reader.take()
    await first
    expect([secondDone, thirdDone]).toEqual([false, false])
    await new Promise(setImmediate)
    reader.take()
    await Promise.all([second, third])
    expect(reader.taken.map(String)).toEqual(['first', 'second'])
  })

  it('takes a line that is larger than a piece', async () => {
    const chunks: Buffer[] = []
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        chunks.push(Buffer.from(chunk))
        done()
      },
    })
    const output = new Output(sink)
    const large = 'x'.repeat(1_000_000)
    await output.text('a')
    await output.text(large)
    await output.text('b')
    await output.flush()
    expect(Buffer.concat(chunks).toString()).toBe(`a${large}b`)
  })

  it('says so when the reader has gone', async () => {
    const gone = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error('gone'), { code: 'EPIPE' }))
      },
    })
    const output = new Output(gone)
    await output.text('a')
    await expect(output.flush()).rejects.toBeInstanceOf(OutputClosed)
  })
})

describe('Progress', () => {
  const shown = (isTTY: boolean): string => {
    let text = ''
    let nowMs = 0
    const stream = { isTTY, write: (piece: string) => (text += piece) } as unknown as Writable & {
      isTTY: boolean
    }
    const progress = new Progress(stream, () => nowMs)
    for (let i = 1; i <= 10; i++, nowMs += 100) progress.show(() => `${i} done`)
    progress.end()
    return text
  }

  it('is silent in a pipe', () => expect(shown(false)).toBe(''))

  it('is shown a few times a second on a terminal, and wiped at the end', () => {
    expect(shown(true).split('\r\x1b[K').filter(Boolean)).toEqual([
      '1 done',
      '3 done',
      '5 done',
      '7 done',
      '9 done',
    ])
    expect(shown(true).endsWith('\r\x1b[K')).toBe(true)
  })
})

it('a table has columns as wide as their widest cell, numbers to the right', () => {
  const rows = [
    ['kafka', '1,200'],
    ['warehouse', '7'],
  ]
  expect(table(['name', 'offset'], rows)).toBe('name       offset\nkafka       1,200\nwarehouse       7\n')
})
