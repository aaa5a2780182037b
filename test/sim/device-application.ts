// What the applications of a tab in the simulated browser have in common, and what the world keeps for all of them.

import type { Message } from '../../core/client/api.ts'
import type { WebClient } from '../../web-client/page/web-api.ts'
import type { Home } from '../../web-client/port/port-protocol.ts'
import type { HistoryEvent } from '../checkers/history.ts'
import type { SentMessage } from './sim-message.ts'
import type { SimProcess } from './sim-process.ts'
import type { SimRandom } from './sim-random.ts'

/** What the world keeps for all tabs. */
export interface DeviceShared {
  readonly sent: Map<string, SentMessage>
  /** Into the history of that home's topics. */
  readonly noted: (home: Home, event: HistoryEvent) => void
  readonly bug: (text: string) => void
  /** Whether producers go on. */
  readonly isSending: () => boolean
}

/** What the applications of a tab have in common. */
export interface TabApplication {
  /** Of this incarnation of the tab. */
  readonly name: string
  readonly client: WebClient
  readonly process: SimProcess
  readonly random: SimRandom
  readonly shared: DeviceShared
  /** The application is closing its client. */
  readonly isLeaving: boolean
  wait(leastMs: number, mostMs: number): Promise<void>
  /** The dead see nothing. */
  note(home: Home, event: HistoryEvent): void
  /** The name of a message as received; that it is not as it was sent goes into the history. */
  check(home: Home, message: Message<string>, reader: string): string
}
