/** Request ids: sortable by time and unique across processes, in the alphabet and length of a ULID. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const TIME_CHARS = 10
const PROCESS_CHARS = 8
const COUNT_CHARS = 8

function base32(value: number, chars: number): string {
  let text = ''
  for (let left = value; text.length < chars; left = Math.floor(left / 32)) text = ALPHABET[left % 32]! + text
  return text
}

/** In two parts, since requests that come together share all but the last character, and so need to write only that. */
export interface RequestId {
  readonly head: string
  /** One character. */
  readonly last: string
}

/** @param text not empty */
export function requestId(text: string): RequestId {
  return { head: text.slice(0, -1), last: text.slice(-1) }
}

export function textOf({ head, last }: RequestId): string {
  return head + last
}

export class RequestIds {
  private readonly process: string
  private timeMs = -1
  private prefix = ''
  /** All but the last character of the next id: 32 of them share it within a millisecond. */
  private head = ''
  private count = 0

  /** @param random at least 8 random bytes: what tells this process from others */
  constructor(random: Uint8Array) {
    this.process = Array.from(random.subarray(0, PROCESS_CHARS), (byte) => ALPHABET[byte % 32]).join('')
  }

  /** 26 characters: 10 of time, 8 of this process, 8 that count. */
  next(nowMs: number): RequestId {
    if (nowMs !== this.timeMs) this.moveTo(nowMs)
    else if (this.count % 32 === 0) this.renewHead()
    return { head: this.head, last: ALPHABET[this.count++ % 32]! }
  }

  private moveTo(nowMs: number): void {
    this.timeMs = nowMs
    this.prefix = base32(nowMs, TIME_CHARS) + this.process
    this.renewHead()
  }

  private renewHead(): void {
    this.head = this.prefix + base32(Math.floor(this.count / 32), COUNT_CHARS - 1)
  }
}
