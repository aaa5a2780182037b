// What the applications of a simulated client have in common: their client, its process, chance of their own, and the
// history they write.

import type { Client, Message } from '../../core/client/api.ts'
import type { Found, HistoryEvent } from '../checkers/history.ts'
import type { FollowerDisk } from './follower-disk.ts'
import { faultOf, nameIn, type SentMessage } from './sim-message.ts'
import type { SimProcess } from './sim-process.ts'
import type { SimRandom } from './sim-random.ts'

/** What was decided, by transaction. */
export type Ledger = Map<string, 'commit' | 'rollback'>

/** What the world keeps for all applications. */
export interface SharedState {
  /** Everything that was sent, by name. */
  readonly sent: Map<string, SentMessage>
  readonly noted: (event: HistoryEvent) => void
  /** Something that must not happen, with words for people. */
  readonly bug: (text: string) => void
  /** What applications decided about their transactions. */
  readonly ledger: Ledger
  /** The disks of followers, by the name of their role. */
  readonly disks: Map<string, FollowerDisk>
  /** The wall clock of the relay's machine. */
  readonly relayWallMs: () => number
  /** Whether producers go on. */
  readonly isSending: () => boolean
}

export class SimApplication {
  readonly name: string
  readonly client: Client
  readonly process: SimProcess
  readonly random: SimRandom
  readonly shared: SharedState

  constructor(name: string, client: Client, process: SimProcess, random: SimRandom, shared: SharedState) {
    this.name = name
    this.client = client
    this.process = process
    this.random = random
    this.shared = shared
  }

  wait(leastMs: number, mostMs: number): Promise<void> {
    return new Promise((resolve) => this.process.setTimer(this.random.between(leastMs, mostMs), resolve))
  }

  /** The dead see nothing. */
  note(event: HistoryEvent): void {
    if (!this.process.isDead) this.shared.noted(event)
  }

  /** The name of a message as received; that it is not as it was sent goes into the history. */
  check(message: Message<string>, reader: string): string {
    const name = nameIn(message.value)
    const text = faultOf(message, name, this.shared.sent.get(name))
    if (text !== undefined) this.note({ kind: 'garbled', reader, message: name, text })
    return name
  }
}

export function foundAt({ topic, queueId, offset, messageId }: Message<unknown>): Found {
  return { topic, queueId, offset, messageId }
}
