// How many messages a second, over about the last minute. Adding is a few operations, as it is on the hot path.

const slotMs = 10_000
const slotCount = 6
/** What was seen for less is taken for so long: the first message is no flood. */
const spanMsMin = 1_000

export class RateMeter {
  /** Counts of the last minute, by the number of their ten seconds. */
  readonly #counts: number[] = Array.from({ length: slotCount }, () => 0)
  readonly #startMs: number
  /** The newest slot that is counted in. */
  #slot: number

  /** All times are monotonic. */
  constructor(nowMs: number) {
    this.#startMs = nowMs
    this.#slot = Math.floor(nowMs / slotMs)
  }

  add(count: number, nowMs: number): void {
    this.#moveTo(nowMs)
    const index = this.#slot % slotCount
    this.#counts[index] = (this.#counts[index] as number) + count
  }

  /** In thousandths of a message per second. */
  perSecondThousandths(nowMs: number): number {
    this.#moveTo(nowMs)
    let sum = 0
    for (const count of this.#counts) sum += count
    const spanMs = Math.min(nowMs - this.#startMs, nowMs - (this.#slot - slotCount + 1) * slotMs)
    return Math.round((sum * 1_000_000) / Math.max(spanMs, spanMsMin))
  }

  #moveTo(nowMs: number): void {
    const slot = Math.floor(nowMs / slotMs)
    if (slot <= this.#slot) return
    const first = Math.max(this.#slot + 1, slot - slotCount + 1)
    for (let passed = first; passed <= slot; passed++) this.#counts[passed % slotCount] = 0
    this.#slot = slot
  }
}
