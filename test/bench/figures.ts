// What can be measured, in which unit, and how it is headed in a table. A figure a case cannot have is left out,
// never zero.

/** Every figure of this benchmark; the unit is part of the name. */
export interface Figures {
  /** Messages stored and consumed, delivered, or read, per second of wall clock, draining included. */
  readonly messagesPerSecond?: number
  /** CPU time of the server process, user and system, per message, in microseconds. */
  readonly serverMicros?: number
  /** Publish to deliver (or to synced, for the bare disk), in milliseconds. */
  readonly p50Ms?: number
  readonly p99Ms?: number
  /** Resident memory of the server process at the end of the measured part, in MiB (2^20 bytes). */
  readonly rssMib?: number
  /** Messages the publisher kept under way. */
  readonly windowCount?: number
  /** Growth of the server's resident memory per idle connection, in KiB. */
  readonly connectionKib?: number
  /** From the start of the process to its being ready, in milliseconds. */
  readonly openMs?: number
  /** Delayed messages taken, by wall clock, and delivered, counted from the moment the first was due. */
  readonly scheduledPerSecond?: number
  readonly firedPerSecond?: number
  /** As `serverMicros`, for each of the two. */
  readonly scheduleMicros?: number
  readonly fireMicros?: number
  /** From the time a delayed message was due to its arrival at the consumer, in milliseconds. */
  readonly lateP50Ms?: number
  readonly lateP99Ms?: number
  /** Time that a filter takes for one message, in microseconds of one core. */
  readonly tagMicros?: number
  readonly sqlMicros?: number
  /** CPU time of the load generator per wall clock, in percent of one core: near 100 it is what limits. */
  readonly loadPercent?: number
}

export type FigureName = keyof Figures

export interface FigureHeading {
  readonly heading: string
  readonly decimals: number
  /** Whether more is better; turns a ratio so that above 1 always means better. */
  readonly moreIsBetter: boolean
}

export const figureHeadings: Readonly<Record<FigureName, FigureHeading>> = {
  messagesPerSecond: { heading: 'msg/s', decimals: 0, moreIsBetter: true },
  serverMicros: { heading: 'server µs/msg', decimals: 2, moreIsBetter: false },
  p50Ms: { heading: 'p50 ms', decimals: 2, moreIsBetter: false },
  p99Ms: { heading: 'p99 ms', decimals: 2, moreIsBetter: false },
  rssMib: { heading: 'RSS MiB', decimals: 0, moreIsBetter: false },
  windowCount: { heading: 'under way', decimals: 0, moreIsBetter: true },
  connectionKib: { heading: 'KiB/conn', decimals: 1, moreIsBetter: false },
  openMs: { heading: 'open ms', decimals: 0, moreIsBetter: false },
  scheduledPerSecond: { heading: 'scheduled/s', decimals: 0, moreIsBetter: true },
  firedPerSecond: { heading: 'fired/s', decimals: 0, moreIsBetter: true },
  scheduleMicros: { heading: 'server µs/scheduled', decimals: 2, moreIsBetter: false },
  fireMicros: { heading: 'server µs/fired', decimals: 2, moreIsBetter: false },
  lateP50Ms: { heading: 'late p50 ms', decimals: 0, moreIsBetter: false },
  lateP99Ms: { heading: 'late p99 ms', decimals: 0, moreIsBetter: false },
  tagMicros: { heading: 'tag µs/msg', decimals: 3, moreIsBetter: false },
  sqlMicros: { heading: 'SQL µs/msg', decimals: 3, moreIsBetter: false },
  loadPercent: { heading: 'load CPU %', decimals: 0, moreIsBetter: true },
}

/** How many times better `ours` is than `theirs`; undefined where either is missing or not positive. */
export function timesBetter(name: FigureName, ours: Figures, theirs: Figures): number | undefined {
  const a = ours[name]
  const b = theirs[name]
  if (a === undefined || b === undefined || !(a > 0) || !(b > 0)) return undefined
  return figureHeadings[name].moreIsBetter ? a / b : b / a
}
