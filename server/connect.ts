// The public door `pocketmq`: the client on Node. It wires core's client to WebSockets and to this process's time and
// chance; everything else is core/client/.

import type { Client, ClientOptions } from '../core/client/api.ts'
import { createClient } from '../core/client/client.ts'
import type { Log } from '../core/ports/log.ts'
import { createSystemClock, createSystemRandom } from './system.ts'
import { createWsDialler } from './ws-dialler.ts'

export type * from '../core/client/api.ts'
export { bytes, json, text } from '../core/client/codec.ts'
export { type ErrorCode, PocketError } from '../core/errors.ts'
export type { FilterKind } from '../core/filter/message-filter.ts'
export { deadLetterTopicOf } from '../core/model/names.ts'
export type { MessageId } from '../core/model/message.ts'
export type { Position } from '../core/model/position.ts'
export type { CleanupPolicy, ConsumeMode, ExhaustedPolicy, MessageType, RetryPolicy } from '../core/model/topic.ts'
export type { Log, LogFields } from '../core/ports/log.ts'

export interface ConnectOptions extends ClientOptions {
  /** What happens to the connection, for debugging. Default: silent. */
  readonly log?: Log
}

/**
 * Connects to the relay at `url` (`ws:`, `wss:`, `http:` or `https:`). Resolves once it has let the client in; from
 * then on the connection is kept up until `close`. Rejects with a PocketError: CONNECTION_REFUSED when no relay
 * answered within `connectTimeout`, UNAUTHENTICATED and the like at once, ABORTED, or BAD_ARGUMENT for an address that
 * is none.
 *
 * ```ts
 * await using client = await connect('ws://localhost:7650')
 * await client.topic('greetings').send({ hello: 'world' })
 * ```
 */
export async function connect(url: string | URL, options: ConnectOptions = {}): Promise<Client> {
  const { log, ...clientOptions } = options
  const clock = createSystemClock()
  const dialler = createWsDialler({ url: String(url), clock })
  const random = createSystemRandom()
  const client = createClient({ dialler, clock, random, ...(log === undefined ? {} : { log }) }, clientOptions)
  await client.connected
  return client
}
