// What a relay tells of itself and its connections to those who administer it. The relay fills it (server/); a broker
// without one, as in a browser's engine, tells nothing.

import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import type { ConnectionSummary, FrameFields, RelayDescription } from '../protocol/frames.ts'

export interface RelayDoor {
  describe(): RelayDescription
  /** Those that were welcomed and have not ended, in no order. */
  connections(): Iterable<ConnectionSummary>
  /** Ends all connections of a client; gives how many there were. */
  closeConnection(clientId: string): number
}

/** A page of the connections, by client id. */
export function listConnections(
  relay: RelayDoor, { after, containing, countMax }: Omit<FrameFields<'LIST_CONNECTIONS'>, 'requestId'>,
): { readonly connections: readonly ConnectionSummary[]; readonly more: boolean } {
  const word = containing.toLowerCase()
  const found: ConnectionSummary[] = []
  for (const connection of relay.connections()) {
    const { clientId, clientName, peer } = connection
    const isWanted = clientId > after &&
      (word === '' || [clientId, clientName, peer].some((text) => text.toLowerCase().includes(word)))
    if (isWanted) found.push(connection)
  }
  found.sort((left, right) => (left.clientId < right.clientId ? -1 : left.clientId > right.clientId ? 1 : 0))
  const count = Math.min(Math.max(1, countMax), fixedLimits.listCountMax)
  return { connections: found.slice(0, count), more: found.length > count }
}

export function closeConnection(relay: RelayDoor, clientId: string): PocketError | undefined {
  if (relay.closeConnection(clientId) > 0) return undefined
  return new PocketError('CONNECTION_NOT_FOUND', `the relay has no connection of client '${clientId}'`)
}
