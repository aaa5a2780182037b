// A flow of messages through a system, in phases. A phase ends when its time is over *and* all that was sent has
// arrived, so a system that only piles work up gains nothing. What is sent when is the scenario's to say; the flow
// counts, and turns loss, duplicates, wrong bodies and standstill into errors.

export interface FlowOptions {
  /** How many deliveries each send leads to. */
  readonly deliveriesPerSend: number
  /** Where not each send is delivered: how many make one such, the first of them being it. Default 1. */
  readonly sendsPerDelivery?: number
  /** Whether the system answers sends; then a phase waits for all answers too. */
  readonly acknowledges: boolean
  readonly bodyBytes: number
  /** How long a phase may take beyond its time. */
  readonly drainMsMax: number
}

// Looking at the clock costs more than a send does in the quickest systems.
const clockEvery = 32

export class Flow {
  /** Since the flow began; scenarios read them in their hot loops and change none. */
  sentCount = 0
  acknowledgedCount = 0
  deliveredCount = 0
  /** Whether the phase still sends. */
  isSending = false
  readonly #options: FlowOptions
  #endsAt = 0
  #resolve: (() => void) | undefined
  #reject: ((error: unknown) => void) | undefined
  #failure: unknown

  constructor(options: FlowOptions) {
    this.#options = options
  }

  /** Runs one phase; `pump` sends what may be sent at its start. Resolves with the number of sends, all arrived. */
  async run(durationMs: number, pump: () => void): Promise<number> {
    if (this.#failure !== undefined) throw this.#failure
    const sentBefore = this.sentCount
    this.#endsAt = performance.now() + durationMs
    this.isSending = true
    // The timer alone would be late under load, the clock in `countSent` alone would miss a system that stands still.
    const endTimer = setTimeout(() => this.#endSending(), durationMs)
    const giveUp = (): void => this.fail(new Error(this.#describeMissing()))
    const drainTimer = setTimeout(giveUp, durationMs + this.#options.drainMsMax)
    try {
      await new Promise<void>((resolve, reject) => {
        this.#resolve = resolve
        this.#reject = reject
        pump()
      })
    } finally {
      clearTimeout(endTimer)
      clearTimeout(drainTimer)
      this.isSending = false
      this.#resolve = undefined
      this.#reject = undefined
    }
    return this.sentCount - sentBefore
  }

  /** Call after each send. */
  countSent(): void {
    this.sentCount += 1
    if (this.sentCount % clockEvery === 0 && performance.now() >= this.#endsAt) this.isSending = false
  }

  /** Call for each answer. */
  countAcknowledged(): void {
    this.acknowledgedCount += 1
    if (!this.isSending) this.#finishIfDrained()
  }

  /** Call for each delivery. */
  countDelivered(bodyBytes: number): void {
    this.deliveredCount += 1
    if (bodyBytes !== this.#options.bodyBytes) this.fail(new Error(`a body of ${bodyBytes} bytes arrived`))
    if (!this.isSending) this.#finishIfDrained()
  }

  /** Ends the flow with an error. Bound, so that systems can be handed it as it is. */
  readonly fail = (error: unknown): void => {
    this.#failure ??= error
    this.#reject?.(error)
  }

  #endSending(): void {
    this.isSending = false
    this.#finishIfDrained()
  }

  #finishIfDrained(): void {
    const { acknowledges } = this.#options
    const expectedCount = this.#expectedCount()
    if (this.deliveredCount > expectedCount) {
      this.fail(new Error(`${this.deliveredCount} messages arrived where ${expectedCount} were due: duplicates`))
    } else if (this.deliveredCount === expectedCount && (!acknowledges || this.acknowledgedCount === this.sentCount)) {
      this.#resolve?.()
    }
  }

  /** The deliveries that all sends so far lead to. */
  #expectedCount(): number {
    const { deliveriesPerSend, sendsPerDelivery = 1 } = this.#options
    return Math.ceil(this.sentCount / sendsPerDelivery) * deliveriesPerSend
  }

  #describeMissing(): string {
    const { acknowledges, drainMsMax } = this.#options
    const missingCount = this.#expectedCount() - this.deliveredCount
    const unansweredCount = acknowledges ? this.sentCount - this.acknowledgedCount : 0
    return `${missingCount} messages did not arrive and ${unansweredCount} sends had no answer within ${drainMsMax} ms`
  }
}
