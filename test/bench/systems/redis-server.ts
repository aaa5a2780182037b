// What Redis streams and Redis pub/sub share: Debian's `redis-server`, and connections to it over TCP.

import { connect } from 'node:net'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'

import { loadPeer } from '../peers.ts'
import type { ServerPlace, ServerProgram } from './system.ts'

const candidates = ['/usr/bin/redis-server', '/usr/local/bin/redis-server', '/opt/homebrew/bin/redis-server']

type Callback<Value> = (error: Error | null | undefined, value: Value) => void
/** The reply of XREAD and XREADGROUP: per stream its name and its entries of id and fields. */
export type StreamReply = readonly (readonly [Buffer, readonly (readonly [Buffer, readonly Buffer[]])[]])[] | null

export interface RedisConnection {
  on(event: 'error' | 'end', listener: (error?: Error) => void): RedisConnection
  on(event: 'messageBuffer', listener: (channel: Buffer, body: Buffer) => void): RedisConnection
  connect(): Promise<void>
  config(action: 'SET', name: string, value: string): Promise<unknown>
  publish(channel: string, body: Buffer): Promise<number>
  subscribe(channel: string): Promise<unknown>
  xadd(key: string, id: '*', field: string, body: Buffer, done: Callback<string | null>): void
  xgroup(action: 'CREATE', key: string, group: string, id: string, option: 'MKSTREAM'): Promise<unknown>
  xreadgroupBuffer(...args: (string | number)[]): Promise<StreamReply>
  xreadBuffer(...args: (string | number | Buffer)[]): Promise<StreamReply>
  xack(key: string, group: string, ...ids: Buffer[]): Promise<number>
  xlen(key: string): Promise<number>
}

interface RedisModule {
  Redis: new (options: object) => RedisConnection
}

export function redisServerFile(): string | undefined {
  return candidates.find((file) => existsSync(file))
}

export function redisMissing(): string | undefined {
  return redisServerFile() ? undefined : 'redis-server is not installed (Debian: apt install redis-server)'
}

/** For instance `redis-server 7.0.15`. */
export function redisServerVersion(): string {
  const text = execFileSync(redisServerFile() ?? 'redis-server', ['--version'], { encoding: 'utf8' })
  return `redis-server ${/v=(\S+)/.exec(text)?.[1] ?? 'unknown'}`
}

export function redisProgram(place: ServerPlace): ServerProgram {
  const options = {
    port: String(place.port),
    bind: '127.0.0.1',
    dir: place.folder,
    appendonly: 'yes',
    appendfsync: 'always',
    save: '',
  }
  return {
    file: redisServerFile() ?? 'redis-server',
    args: Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
  }
}

/** The port takes connections while the server still loads its data; only the answer to a PING says that it works. */
export function isRedisReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.once('data', (data) => {
      resolve(data.toString('latin1').startsWith('+PONG'))
      socket.destroy()
    })
    socket.once('error', () => resolve(false))
  })
}

export async function connectRedis(port: number, onFailed?: (error: unknown) => void): Promise<RedisConnection> {
  const { Redis } = await loadPeer<RedisModule>('ioredis')
  const connection = new Redis({ host: '127.0.0.1', port, lazyConnect: true, retryStrategy: () => null })
  if (onFailed) connection.on('error', onFailed).on('end', () => onFailed(new Error('the server closed a connection')))
  await connection.connect()
  return connection
}
