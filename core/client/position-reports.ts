// Tells the relay where a BROADCASTING consumer stands whose positions it keeps: what has changed, now and then.

import type { Position } from '../model/position.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { QueuePosition } from '../protocol/frames.ts'

/** So much progress at most is told anew after a crash. */
const reportMs = 200

export interface PositionReportsDeps {
  readonly clock: Clock
  /** Up to where all is consumed, per queue. */
  readonly positions: () => ReadonlyMap<number, Position>
  /** False where there is no connection: it is told again then. */
  readonly send: (positions: readonly QueuePosition[]) => boolean
}

export class PositionReports {
  readonly #deps: PositionReportsDeps
  /** As the relay knows them. */
  #told = new Map<number, Position>()
  #cancelTimer: CancelTimer | undefined

  constructor(deps: PositionReportsDeps) {
    this.#deps = deps
  }

  /** Some position has changed. */
  touch(): void {
    this.#cancelTimer ??= this.#deps.clock.setTimer(reportMs, () => this.flush())
  }

  /** The relay has taken these to be the positions: it is told at once what they are. */
  restart(positions: readonly QueuePosition[]): void {
    this.#told = new Map(positions.map(({ queueId, position }) => [queueId, position]))
    this.flush()
  }

  /** Tells what has changed since the last time. */
  flush(): void {
    this.end()
    const changed: QueuePosition[] = []
    for (const [queueId, position] of this.#deps.positions()) {
      const told = this.#told.get(queueId)
      if (told?.offset !== position.offset || told.epoch !== position.epoch) changed.push({ queueId, position })
    }
    if (changed.length === 0 || !this.#deps.send(changed)) return
    for (const { queueId, position } of changed) this.#told.set(queueId, position)
  }

  end(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }
}
