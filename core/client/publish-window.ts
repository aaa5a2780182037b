// How many bytes of publishes a client has on the wire and unanswered, over all its producers: the relay's bound.

/** A producer that has something to send. */
export interface WindowUser {
  /** There may be room now. */
  pump(): void
}

export class PublishWindow {
  readonly #byteCountMax: () => number
  #byteCount = 0
  /** In the order in which they came. */
  readonly #waiting = new Set<WindowUser>()

  constructor(byteCountMax: () => number) {
    this.#byteCountMax = byteCountMax
  }

  /** Takes room, always if there is nothing on the wire; else false, and `user.pump` is called when there is more. */
  take(byteCount: number, user: WindowUser): boolean {
    if (this.#byteCount > 0 && this.#byteCount + byteCount > this.#byteCountMax()) {
      this.#waiting.add(user)
      return false
    }
    this.#byteCount += byteCount
    return true
  }

  give(byteCount: number): void {
    this.#byteCount -= byteCount
    if (this.#waiting.size === 0) return
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const user of waiting) user.pump()
  }
}
