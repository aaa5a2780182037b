// What a system must offer to be measured. One file per system implements this and nothing else knows its API.
// The per-message calls are plain functions, so that the harness costs every system the same few nanoseconds;
// a promise per message arises only where the system's own API makes one.

import type { Figures } from '../figures.ts'
import type { Load, ScenarioName } from '../job.ts'

/** How messages travel: stored and shared by a group that acks each one, or to every subscriber there is. */
export type Delivery = 'queue' | 'broadcast'

export interface ProducerOptions {
  readonly topic: string
  readonly delivery: Delivery
  /** What every message carries. The same bytes each time; a system may prepare them once. */
  readonly body: Uint8Array
  /** Called for each message that the system answered, in the order of sending. Never called where it answers none. */
  readonly onAcknowledged: () => void
  readonly onFailed: (error: unknown) => void
}

export interface Producer {
  /** Sends one message; returns at once. */
  send(): void
}

export interface ConsumerOptions {
  readonly topic: string
  readonly delivery: Delivery
  /** Called for each message with the length of its body; a queue's message is acked right after. */
  readonly onMessage: (bodyBytes: number) => void
  readonly onFailed: (error: unknown) => void
}

export interface SchedulerOptions {
  readonly topic: string
  readonly body: Uint8Array
  /** Called for each message that the system keeps from now on until it is due. */
  readonly onScheduled: () => void
  readonly onFailed: (error: unknown) => void
}

export interface Scheduler {
  /** Sends one message that is due at that time, in milliseconds since 1970; returns at once. */
  schedule(deliverMs: number): void
}

export interface DueConsumerOptions {
  readonly topic: string
  /** Called for each message, with the times when it was due and when the server put it into its queue. */
  readonly onMessage: (bodyBytes: number, deliverMs: number, storedMs: number) => void
  readonly onFailed: (error: unknown) => void
}

/** The client side of a system, in the load process. Nothing is closed: the process ends after its one job. */
export interface SystemClient {
  /** Makes the topic, the group and what else must be there first. Absent where nothing must. */
  prepare?(topic: string, delivery: Delivery): Promise<void>
  /** On a connection of its own. */
  openProducer(options: ProducerOptions): Promise<Producer>
  /** On a connection of its own; resolves once everything sent from now on will arrive. */
  openConsumer(options: ConsumerOptions): Promise<void>
  /** One more connection that does nothing. */
  openIdle(): Promise<void>
  /** Stores that many messages of the body by the quickest way the system has, and resolves once they are stored. */
  fill?(topic: string, body: Uint8Array, messageCount: number): Promise<void>
  /** Reads a stored topic from its first message on, without a group. */
  openReader?(options: Omit<ConsumerOptions, 'delivery'>): Promise<void>
  /** Sends delayed messages, on a connection of its own. */
  openScheduler?(options: SchedulerOptions): Promise<Scheduler>
  /** Takes delayed messages when they are due, as the one member of a group, and acks each. */
  openDueConsumer?(options: DueConsumerOptions): Promise<void>
}

export interface ServerPlace {
  readonly port: number
  /** A folder of its own for whatever it stores; exists. */
  readonly folder: string
}

export interface ServerProgram {
  readonly file: string
  readonly args: readonly string[]
}

interface Measurable {
  /** By which options and JSON name it. */
  readonly name: string
  /** By which tables name it. */
  readonly title: string
  /** What its acknowledgement promises, for the notes. */
  readonly durability: string
  readonly scenarios: readonly ScenarioName[]
  /** The packages of peers/ that it needs, none by default. */
  readonly peers?: readonly string[]
  /** The packages of the project itself that it measures, for the notes. */
  readonly packages?: readonly string[]
  /** Name and version of its server where that is a program of the machine, for the notes. */
  programVersion?(): string
  /** Makes what its server is started from, once before the first start. */
  build?(): void
  /** Why it can't be measured here, in words for the notes; undefined when it can. */
  missing?(): string | undefined
}

/** Something with a server process and clients. */
export interface ServedSystem extends Measurable {
  readonly kind: 'served'
  /** The server as a program of its own, or as a function that a child process of the bench runs. */
  readonly server:
    | { readonly program: (place: ServerPlace) => ServerProgram }
    | { readonly serve: (port: number) => Promise<void> }
  /** Whether it takes work; by default whether the port takes connections. */
  isReady?(port: number): Promise<boolean>
  /** The scenario is told for systems that are used in another way in some. */
  readonly openClient: (port: number, scenario: ScenarioName) => Promise<SystemClient>
}

/** The bare limit of a part, measured in the load process itself, without server or network. */
export interface BareLimit extends Measurable {
  readonly kind: 'limit'
  /** Stores the backlog in `load.job.folder`. */
  fill?(load: Load): Promise<void>
  readonly measures: Partial<Record<ScenarioName, (load: Load) => Promise<Figures>>>
}

export type System = ServedSystem | BareLimit
