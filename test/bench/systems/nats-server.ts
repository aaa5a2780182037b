// What NATS core and JetStream share: Debian's `nats-server` with its WebSocket port, and connections to it.

import { existsSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import WebSocket from 'ws'

import { loadPeer } from '../peers.ts'
import type { ServerPlace, ServerProgram } from './system.ts'

const candidates = ['/usr/sbin/nats-server', '/usr/bin/nats-server', '/usr/local/bin/nats-server']

export interface NatsConnection {
  publish(subject: string, body: Uint8Array): void
  subscribe(subject: string, options: { callback: (error: Error | null, message: { data: Uint8Array }) => void }): void
  flush(): Promise<void>
  closed(): Promise<undefined | Error>
}

interface CoreModule {
  wsconnect(options: object): Promise<NatsConnection>
}

export function natsServerFile(): string | undefined {
  return candidates.find((file) => existsSync(file))
}

export function natsMissing(): string | undefined {
  return natsServerFile() ? undefined : 'nats-server is not installed (Debian: apt install nats-server)'
}

/** For instance `nats-server 2.9.10`. */
export function natsServerVersion(): string {
  const text = execFileSync(natsServerFile() ?? 'nats-server', ['--version'], { encoding: 'utf8' })
  return `nats-server ${/v?(\d+\.\d+\.\d+)/.exec(text)?.[1] ?? 'unknown'}`
}

/** The server with WebSocket on `place.port`; its plain port is one the system picks. */
export function natsProgram(place: ServerPlace, options: { readonly jetStream: boolean }): ServerProgram {
  const lines = [
    'listen: "127.0.0.1:-1"',
    `websocket { listen: "127.0.0.1:${place.port}", no_tls: true }`,
    ...(options.jetStream ? [`jetstream { store_dir: ${JSON.stringify(join(place.folder, 'jetstream'))} }`] : []),
  ]
  const configFile = join(place.folder, 'nats.conf')
  writeFileSync(configFile, `${lines.join('\n')}\n`)
  return { file: natsServerFile() ?? 'nats-server', args: ['--config', configFile] }
}

/** Opens a connection over WebSocket. Node 20 has no WebSocket of its own, so the client is handed that of `ws`. */
export async function connectNats(port: number, onFailed?: (error: unknown) => void): Promise<NatsConnection> {
  const { wsconnect } = await loadPeer<CoreModule>('@nats-io/nats-core')
  const connection = await wsconnect({
    servers: `ws://127.0.0.1:${port}`,
    reconnect: false,
    wsFactory: async (url: string) => ({
      socket: new WebSocket(url, { perMessageDeflate: false }),
      encrypted: false,
    }),
  })
  if (onFailed) void connection.closed().then((error) => onFailed(error ?? new Error('the server closed a connection')))
  return connection
}
