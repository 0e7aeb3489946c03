/**
 * How long records wait for company: little while few come, more the more come, so that rounds stay few and batches
 * large when it matters.
 */
const LINGER_MS_MAX = 100
/** At this rate the linger has grown by 1 ms. */
const RECORDS_PER_S_A_MS = 100
/** Weight of the newest second. */
const SMOOTHING_MS = 1000

export class Pace {
  private perS = 0
  private notedMs: number | undefined

  constructor(private readonly lingerMsMin: number) {}

  get lingerMs(): number {
    return Math.max(this.lingerMsMin, Math.min(LINGER_MS_MAX, this.perS / RECORDS_PER_S_A_MS))
  }

  note(records: number, nowMs: number): void {
    const passedMs = Math.max(1, nowMs - (this.notedMs ?? nowMs - SMOOTHING_MS))
    const weight = 1 - Math.exp(-passedMs / SMOOTHING_MS)
    this.perS += ((records * 1000) / passedMs - this.perS) * weight
    this.notedMs = nowMs
  }
}
