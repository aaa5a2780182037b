// What a scenario is: one way of using a messaging system, the figures that tell how well it went, and the systems
// PocketMQ is compared with there.

import type { FigureName, Figures } from '../figures.ts'
import type { Load, ScenarioName, ServerAddress } from '../job.ts'
import type { SystemClient } from '../systems/system.ts'

/** A load on a system with a server. */
export interface ServedLoad extends Load {
  readonly client: SystemClient
  readonly server: ServerAddress
}

export interface Scenario {
  readonly name: ScenarioName
  /** One line for the head of the table. */
  readonly title: string
  /** In bytes; `quick` runs take the first alone. 0 where bodies play no part. */
  readonly bodySizes: readonly number[]
  /** The columns of its table. */
  readonly figures: readonly FigureName[]
  /** The systems that ratios are given to, and by which figure. */
  readonly anchors: readonly { readonly system: string; readonly figure: FigureName }[]
  /** Whether a stored backlog must be there before the server starts. */
  readonly readsBacklog?: boolean
  /** Runs in the load process. Throws where a message was lost, came twice, or did not come in time. */
  measure(load: ServedLoad): Promise<Figures>
}

/** The one topic of every scenario; each case has a server with an empty store, or with the backlog in this topic. */
export const topicName = 'bench'

/** Handshakes under way at a time; all at once overrun the backlog of connections that a server has not yet taken. */
const openingCount = 50

/** Opens that many connections. */
export async function openMany(connectionCount: number, open: () => Promise<void>): Promise<void> {
  for (let count = 0; count < connectionCount; count += openingCount) {
    const opening = Math.min(openingCount, connectionCount - count)
    await Promise.all(Array.from({ length: opening }, () => open()))
  }
}
