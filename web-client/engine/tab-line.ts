// What the parts of a tab's session share: the line to its page, and the clients that work for it.

import type { Clock } from '../../core/ports/clock.ts'
import type { HostClient } from '../../core/client/host-client.ts'
import type { PocketError } from '../../core/errors.ts'
import type { FromEngine, Home } from '../port/port-protocol.ts'
import type { RelayLink } from './relay-link.ts'

export interface TabLine {
  readonly clock: Clock
  post(message: FromEngine, transfer?: Transferable[]): void
  /** Of topics of that home. Throws BAD_ARGUMENT where no relay was named. */
  client(home: Home): HostClient
  relay(): RelayLink
  /** A failure that no call of the page waits for. */
  report(error: PocketError): void
}
