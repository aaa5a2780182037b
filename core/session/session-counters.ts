// What the sessions of a relay count together, for metrics. Plain numbers, incremented where it happens.

import { Histogram } from '../broker/stats.ts'
import type { ErrorCode } from '../errors.ts'
import type { UpstreamName } from '../protocol/frames.ts'

/** Bounds of the time from a request's arrival to its answer; waits of RECEIVE and PULL are part of it. */
const answerBoundsMs: readonly number[] = [1, 3, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 30_000]

/** How long one kind of request took to be answered, by how it ended. */
export interface AnswerTimes {
  readonly succeededMs: Histogram
  readonly failedMs: Histogram
}

/**
 * Shared by all sessions of a relay. They only grow, but for `openCount` and `publishBytesInHand`. A reader must not
 * change them.
 */
export class SessionCounters {
  /** Connections that have not ended. */
  openCount = 0
  /** Connections ever accepted. */
  acceptedCount = 0
  transportMessagesIn = 0
  transportMessagesOut = 0
  /** Bytes of frames, without the transport's framing. */
  bytesIn = 0
  bytesOut = 0
  framesIn = 0
  /** Bytes of PUBLISH and PREPARE that wait for a commit, over all connections. */
  publishBytesInHand = 0
  /** Times that reading from a connection paused. */
  pauses = 0
  slowReaders = 0
  lostHeartbeats = 0
  /** Bugs: connections ended by INTERNAL. */
  crashes = 0
  /** ERROR frames sent, by code. */
  readonly errors = new Map<ErrorCode, number>()
  readonly answerTimes = new Map<UpstreamName, AnswerTimes>()

  countError(code: ErrorCode): void {
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1)
  }

  answered(name: UpstreamName, tookMs: number, isFailure: boolean): void {
    let times = this.answerTimes.get(name)
    if (times === undefined) {
      times = { succeededMs: new Histogram(answerBoundsMs), failedMs: new Histogram(answerBoundsMs) }
      this.answerTimes.set(name, times)
    }
    if (isFailure) times.failedMs.observe(tookMs)
    else times.succeededMs.observe(tookMs)
  }
}
