// The door of `pocketmq/web`: the client for pages. It touches nothing of the browser before `connect` is called, so it
// may be imported where pages are rendered on a server.

import { PocketError } from '../core/errors.ts'
import { attach } from './hosts/attach.ts'
import { PageClient } from './page/page-client.ts'
import type { ConnectOptions, WebClient } from './page/web-api.ts'

export type * from '../core/client/api.ts'
export { bytes, json, text } from '../core/client/codec.ts'
export type { StandardSchema } from '../core/client/schema.ts'
export { type ErrorCode, PocketError } from '../core/errors.ts'
export type * from './page/web-api.ts'
export type { EngineStatus, Home, HostKind } from './port/port-protocol.ts'

/**
 * Connects this page to the engine of its browser, and starts one where none runs. With the URL of a relay (`ws:`, `wss:`,
 * `http:` or `https:`) topics live there unless they say otherwise; without one they live in this browser. Resolves when
 * the engine is there: the relay may be out of reach, what is sent waits for it on this device. Rejects with BAD_ARGUMENT,
 * TIMEOUT, ABORTED, or ENGINE_REPLACED where the page is older than the engine.
 *
 * ```ts
 * await using mq = await connect()
 * await mq.topic('greetings').send({ hello: 'other tabs' })
 * ```
 */
export async function connect(relay?: string | URL | ConnectOptions, options?: ConnectOptions): Promise<WebClient> {
  void wakeStorage()
  const isUrl = typeof relay === 'string' || relay instanceof URL
  const client = new PageClient(attach, isUrl ? relayUrlOf(relay) : undefined, (isUrl ? options : relay) ?? {})
  try {
    await client.connected
  } catch (error) {
    void client.close().catch(() => {})
    throw error
  }
  return client
}

/** A browser that has just started takes its time to open what it keeps for an origin: it begins while the worker is loaded. */
async function wakeStorage(): Promise<void> {
  try {
    await indexedDB.databases()
    void localStorage.length
  } catch {
    // Where there are none the engine says so.
  }
}

/** Relative addresses are the page's. */
function relayUrlOf(relay: string | URL): string {
  try {
    const url = new URL(relay, globalThis.location?.href)
    if (/^(https?|wss?):$/.test(url.protocol)) {
      url.protocol = url.protocol.replace('http', 'ws')
      return url.href
    }
  } catch {
    // As below.
  }
  throw new PocketError('BAD_ARGUMENT', `'${String(relay)}' is no address of a relay; one is like wss://relay.example`)
}
