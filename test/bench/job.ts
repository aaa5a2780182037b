// What the main process asks of a load process, and what comes back. Plain values: they cross a process boundary.

import type { Figures } from './figures.ts'

export const scenarioNames = [
  'durable-queue',
  'fan-out-50',
  'fan-out-1000',
  'light-load',
  'idle-connection',
  'catch-up',
  'open',
  'delayed',
  'delayed-scattered',
  'transactions',
  'message-groups',
  'traced-queue',
  'filtered-queue',
  'filter-cost',
] as const
export type ScenarioName = (typeof scenarioNames)[number]

/** How long and how much; the same for every system of a run. */
export interface Pace {
  readonly roundCount: number
  readonly warmUpMs: number
  readonly measureMs: number
  /** How long a phase may take beyond its time until all that was sent has arrived. */
  readonly drainMsMax: number
  readonly idleConnectionCount: number
  /** Messages stored before a reader comes, and messages scheduled before the first is due. */
  readonly backlogCount: number
}

export const fullPace: Pace = {
  roundCount: 3,
  warmUpMs: 1000,
  measureMs: 3000,
  drainMsMax: 30_000,
  idleConnectionCount: 2000,
  backlogCount: 1_000_000,
}

export const quickPace: Pace = {
  roundCount: 1,
  warmUpMs: 160,
  measureMs: 300,
  drainMsMax: 10_000,
  idleConnectionCount: 300,
  backlogCount: 50_000,
}

/** A server that is up. */
export interface ServerAddress {
  readonly pid: number
  readonly port: number
  /** From the start of its process to its being ready. */
  readonly startedInMs: number
}

export interface Job {
  /** `measure` gives figures; `fill` stores the backlog that `catch-up` and `open` read. */
  readonly task: 'measure' | 'fill'
  readonly scenario: ScenarioName
  readonly system: string
  /** 0 where bodies play no part. */
  readonly bodyBytes: number
  readonly pace: Pace
  /** Where durable data lies: the server's, or the own one of a system that has no server. */
  readonly folder: string
  /** Absent for a system without a server. */
  readonly server?: ServerAddress
}

/** A job as the code in the load process sees it. */
export interface Load {
  readonly job: Job
  readonly pace: Pace
  /** `job.bodyBytes` letters and digits, so that a system may take them as bytes or as text of the same length. */
  readonly body: Uint8Array
}

export type JobAnswer = { readonly figures: Figures } | { readonly failure: string }

export function createLoad(job: Job): Load {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
  const body = Uint8Array.from({ length: job.bodyBytes }, (_, index) =>
    alphabet.charCodeAt((index * 7 + (index >> 3) * 11) % alphabet.length),
  )
  return { job, pace: job.pace, body }
}
