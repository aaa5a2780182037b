// A relay: one port for WebSocket, health and metrics, a broker, and a session for every connection. It starts, drains
// and fails here; it never ends the process and reads no environment, so a program or a test can have several.
//
//   starting ──broker open──> ready ──close()──> draining ──> ended
//                               └───the store failed──> failed ──> ended, with the error

import { createServer, type Server } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { Broker } from '../core/broker/broker.ts'
import type { BrokerStats } from '../core/broker/stats.ts'
import { PocketError } from '../core/errors.ts'
import type { Limits } from '../core/limits.ts'
import type { Clock } from '../core/ports/clock.ts'
import { type Log, silentLog } from '../core/ports/log.ts'
import type { Random } from '../core/ports/random.ts'
import type { Store } from '../core/ports/store.ts'
import type { Connection, ConnectionHandler } from '../core/ports/transport.ts'
import type { Authenticate } from '../core/session/auth.ts'
import { FlushQueue } from '../core/session/flush-queue.ts'
import type { RelayDoor } from '../core/session/relay-door.ts'
import { ReplyRouter } from '../core/session/reply-router.ts'
import { ServerSession } from '../core/session/server-session.ts'
import { SessionCounters } from '../core/session/session-counters.ts'
import { createMemoryStore } from '../core/storage/memory-store.ts'
import { defaultConfig, type RelayConfig } from './config.ts'
import { createHttpHandler, type RelayPhase } from './http.ts'
import { openLmdbStore } from './lmdb-store.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { findPagesFolder, readPages } from './pages.ts'
import { describeRelay, lookSparingly } from './relay-description.ts'
import { RecentQuantiles } from './recent-quantiles.ts'
import { createSystemClock, createSystemRandom } from './system.ts'
import { createTokenAuthenticate } from './token-auth.ts'
import { startTraceExporter, type TraceExporter } from './trace-exporter.ts'
import { createWsAcceptor, listenBacklog, relayHttpOptions, type WsAcceptor } from './upgrade.ts'
import { version } from './version.ts'

/** The settings of a relay; what is left out takes the default of settings.ts. */
export type RelayOptions = Partial<Omit<RelayConfig, 'limits'>> & { readonly limits?: Partial<Limits> }

/** What a relay may be given instead of what it makes itself. */
export interface RelayDeps {
  /** Stays open when the relay ends. Default: LMDB in `dataFolder`, or memory; closed with the relay. */
  readonly store?: Store
  readonly clock?: Clock
  readonly random?: Random
  /** Default: nothing is logged. */
  readonly log?: Log
  /** Default: by the `tokens` of the options. */
  readonly authenticate?: Authenticate
  /** The folder of the demo and the console. Default: where a build puts them, if there was one. */
  readonly pagesFolder?: string
}

/** A running relay. */
export interface Relay extends AsyncDisposable {
  /** Where clients on this machine connect: `ws://127.0.0.1:7600`. */
  readonly url: string
  /** Where health and metrics are: `http://127.0.0.1:7600`. */
  readonly httpUrl: string
  readonly port: number
  readonly phase: RelayPhase
  /** The pages it serves below `httpUrl`: `demo`, `console`; none where they are not built. */
  readonly pageNames: readonly string[]
  /** Resolves when it has ended: with nothing after `close`, or with what failed. Never rejects. */
  readonly ended: Promise<PocketError | undefined>
  stats(): BrokerStats
  /**
   * Stops gracefully: clients are told, what is in hand is made durable and answered, then connections close with
   * RELAY_STOPPING and the store is closed. Takes at most about `drainMs`. Repeating it gives the same promise.
   */
  close(): Promise<void>
}

/** The relay cannot listen. The text says why and what to do. */
export class ListenError extends Error {
  override readonly name = 'ListenError'
}

/** What stopping clients are told to wait at least; they add a jitter of their own. */
const retryAfterMs = 500
/** How long clients may go on settling what they hold after they were told. */
const lingerMsMax = 250
/** How long each step of the end may take that depends on others: peers that shall close, a store that may hang. */
const endMsMax = 1_000

/**
 * Starts a relay; it is ready when the promise resolves. Rejects with {@link ListenError} where it cannot have its
 * port, and with PocketError STORE_FAILED, STORE_FULL or BAD_ARGUMENT (`dataFolder`) where the store cannot be opened.
 */
export async function startRelay(options: RelayOptions = {}, deps: RelayDeps = {}): Promise<Relay> {
  const defaults = defaultConfig()
  const config: RelayConfig = { ...defaults, ...options, limits: { ...defaults.limits, ...options.limits } }
  const relay = new RunningRelay(config, deps)
  await relay.start()
  return relay
}

class RunningRelay implements Relay {
  readonly #config: RelayConfig
  readonly #deps: RelayDeps
  readonly #clock: Clock
  readonly #log: Log
  readonly #server: Server
  readonly #flushQueue: FlushQueue
  readonly #counters = new SessionCounters()
  readonly #sessions = new Set<ServerSession>()
  #store: Store | undefined
  #broker: Broker | undefined
  #traceExporter: TraceExporter | undefined
  #acceptor: WsAcceptor | undefined
  #metrics: Metrics | undefined
  #phase: RelayPhase = 'starting'
  #port = 0
  #closing: Promise<void> | undefined
  #resolveEnded: (error: PocketError | undefined) => void = () => {}
  readonly ended: Promise<PocketError | undefined>
  readonly pageNames: readonly string[]

  constructor(config: RelayConfig, deps: RelayDeps) {
    this.#config = config
    this.#deps = deps
    this.#clock = deps.clock ?? createSystemClock()
    this.#log = deps.log ?? silentLog
    this.#flushQueue = new FlushQueue(this.#clock)
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve))
    const pages = readPages(deps.pagesFolder ?? findPagesFolder())
    this.pageNames = pages.names
    this.#server = createServer(relayHttpOptions, createHttpHandler({
      version,
      pages,
      phase: () => this.#phase,
      hasRoom: () => this.#broker?.hasRoom ?? true,
      metrics: () => this.#metrics,
      failed: (error) => {
        this.#log.error('bug in the HTTP side', { error: String(error), stack: (error as Error).stack })
      },
    }))
  }

  /** The port first: a second relay on the same machine is told that, and not that its store is taken. */
  async start(): Promise<void> {
    const { host, port } = this.#config
    this.#port = await listen(this.#server, host, port)
    // Without a listener, one connection that cannot be accepted (EMFILE) would end the process.
    this.#server.on('error', (error) => this.#log.error('a connection could not be accepted', { error: error.message }))
    try {
      const broker = await this.#openBroker()
      this.#broker = broker
      this.#metrics = createMetrics({
        version,
        stats: () => broker.stats(),
        sessions: this.#counters,
        requestsInHand: () => [...this.#sessions].reduce((sum, session) => sum + session.requestsInHand, 0),
        now: () => this.#clock.now(),
        seriesCountMax: this.#config.metricSeriesCountMax,
      })
      if (this.#config.exportsTraces) this.#traceExporter = startTraceExporter({ broker, log: this.#log, version })
      this.#acceptor = this.#createAcceptor(broker)
    } catch (error) {
      this.#broker?.close()
      await this.#closeServer()
      await this.#closeOwnStore()
      throw error
    }
    this.#phase = 'ready'
  }

  get url(): string {
    return `ws://${this.#address}`
  }

  get httpUrl(): string {
    return `http://${this.#address}`
  }

  get port(): number {
    return this.#port
  }

  get phase(): RelayPhase {
    return this.#phase
  }

  stats(): BrokerStats {
    if (this.#broker === undefined) throw new PocketError('RELAY_STOPPING', 'the relay is not open')
    return this.#broker.stats()
  }

  close(): Promise<void> {
    this.#closing ??= this.#drain()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  // ── starting ──────────────────────────────────────────────────────────────────────────────────────────────────

  #openBroker(): Promise<Broker> {
    const { limits, autoCreateTopics, retryScheduleMs } = this.#config
    this.#store = this.#deps.store ?? this.#openStore()
    return Broker.open({
      store: this.#store,
      clock: this.#clock,
      random: this.#deps.random ?? createSystemRandom(),
      log: this.#log,
      limits, autoCreateTopics,
      retry: { kind: 'schedule', delaysMs: retryScheduleMs },
      released: () => this.#flushQueue.flushAll(),
      failed: (error) => void this.#fail(error),
    })
  }

  #openStore(): Store {
    const { isInMemory, dataFolder, storeBytesMax } = this.#config
    if (isInMemory) return createMemoryStore({ clock: this.#clock })
    return openLmdbStore({ path: dataFolder, mapSizeBytes: storeBytesMax, log: this.#log })
  }

  #createAcceptor(broker: Broker): WsAcceptor {
    const { limits, origins, hosts, tokens } = this.#config
    const clock = this.#clock
    const log = this.#log
    const random = this.#deps.random ?? createSystemRandom()
    const sessionDeps = {
      broker, clock, log, limits,
      relayId: Buffer.from(random.bytes(8)).toString('hex'),
      authenticate: this.#deps.authenticate ?? createTokenAuthenticate(tokens),
      flushQueue: this.#flushQueue,
      counters: this.#counters,
      replies: new ReplyRouter(limits),
      relay: this.#relayDoor(broker),
      ended: (session: ServerSession) => void this.#sessions.delete(session),
    }
    const accept = (connection: Connection): ConnectionHandler => {
      const session = new ServerSession(connection, sessionDeps)
      this.#sessions.add(session)
      return session
    }
    return createWsAcceptor({ server: this.#server, limits, origins, hosts, clock, log, accept })
  }

  #relayDoor(broker: Broker): RelayDoor {
    const sessions = this.#sessions
    const startedMs = Math.floor(this.#clock.now())
    const monotonic = (): number => this.#clock.monotonic()
    const commits = new RecentQuantiles(broker.counters.commitMs, monotonic)
    return {
      describe: lookSparingly(() => describeRelay({
        version, startedMs, config: this.#config, stats: broker.stats(), sessions: this.#counters, commits,
      }), monotonic),
      * connections() {
        for (const { summary } of sessions) if (summary !== undefined) yield summary
      },
      closeConnection: (clientId) => {
        const closed = [...sessions].filter(({ summary }) => summary?.clientId === clientId)
        // Later: who closes its own connection hears the answer first.
        this.#clock.defer(() => {
          for (const session of closed) session.finish('FORBIDDEN', 'closed by an administrator')
        })
        return closed.length
      },
    }
  }

  get #address(): string {
    const { host } = this.#config
    const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
    return `${shown.includes(':') ? `[${shown}]` : shown}:${this.#port}`
  }

  // ── ending ────────────────────────────────────────────────────────────────────────────────────────────────────

  async #drain(): Promise<void> {
    if (this.#phase === 'failed') {
      await this.ended
      return
    }
    this.#phase = 'draining'
    const { drainMs } = this.#config
    const overMs = this.#clock.monotonic() + drainMs
    const leftMs = (): number => Math.max(0, overMs - this.#clock.monotonic())
    this.#log.info('relay stopping', { connectionCount: this.#sessions.size, drainMs })
    this.#acceptor?.stopAccepting()
    for (const session of this.#sessions) session.announceStop(retryAfterMs)
    if (this.#sessions.size > 0) await sleep(Math.min(lingerMsMax, leftMs()))
    for (const session of this.#sessions) session.drain()
    const isDrained = await isDoneWithin(this.#broker?.drain() ?? Promise.resolve(), leftMs())
    if (this.#hasFailed) {
      await this.ended
      return
    }
    if (!isDrained) this.#log.error('not all that was in hand could be finished in time', { drainMs })
    this.#endSessions('RELAY_STOPPING', 'the relay is stopping')
    await isDoneWithin(this.#acceptor?.close() ?? Promise.resolve(), Math.max(leftMs(), 100))
    await this.#end(undefined)
    this.#log.info('relay stopped')
  }

  /** The store cannot be trusted: nothing more is acknowledged, everybody is told to come again later. */
  async #fail(error: PocketError): Promise<void> {
    if (this.#hasFailed) return
    this.#phase = 'failed'
    const { code, message } = error
    const cause = error.cause instanceof Error ? error.cause.message : undefined
    const dataFolder = this.#deps.store === undefined ? this.#config.dataFolder : undefined
    const advice = 'what was acknowledged is safe. Mend the disk and start it again'
    this.#log.error(`the store failed and the relay stops; ${advice}`, { code, message, cause, dataFolder })
    this.#acceptor?.stopAccepting()
    this.#endSessions('STORE_FAILED', new PocketError('STORE_FAILED', 'the relay’s store failed', { retryAfterMs }))
    await isDoneWithin(this.#acceptor?.close() ?? Promise.resolve(), endMsMax)
    await this.#end(error)
  }

  get #hasFailed(): boolean {
    return this.#phase === 'failed'
  }

  #endSessions(code: 'RELAY_STOPPING' | 'STORE_FAILED', reason: PocketError | string): void {
    this.#flushQueue.flushAll()
    for (const session of this.#sessions) session.finish(code, reason)
  }

  async #end(error: PocketError | undefined): Promise<void> {
    this.#traceExporter?.stop()
    this.#broker?.close()
    // Peers that do not answer the close are cut off by the transport, later than anybody wants to wait here.
    await isDoneWithin(this.#closeServer(), endMsMax)
    // A store that failed may never answer the commit that it was at.
    await isDoneWithin(this.#closeOwnStore(), endMsMax)
    this.#resolveEnded(error)
  }

  async #closeOwnStore(): Promise<void> {
    if (this.#deps.store === undefined) await this.#store?.close()
  }

  #closeServer(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }
}

/** Whether `work` is done in time; it may go on after. A failure counts as done. */
async function isDoneWithin(work: Promise<unknown>, timeMs: number): Promise<boolean> {
  const timer = new AbortController()
  const over = sleep(timeMs, false, { signal: timer.signal }).catch(() => false)
  const isDone = await Promise.race([work.then(() => true, () => true), over])
  timer.abort()
  return isDone
}

/** Resolves with the port. */
function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => reject(listenError(error, host, port))
    server.once('error', onError)
    server.listen({ host, port, backlog: listenBacklog }, () => {
      server.off('error', onError)
      const address = server.address()
      resolve(address !== null && typeof address === 'object' ? address.port : port)
    })
  })
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): ListenError {
  return new ListenError(listenText(error, host, port), { cause: error })
}

function listenText(error: NodeJS.ErrnoException, host: string, port: number): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `port ${port} of ${host} is in use, perhaps by another relay; stop that, or choose another with --port`
    case 'EACCES':
      return `port ${port} of ${host} is not permitted to this user; choose one above 1023 with --port`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${host} is no address of this machine; choose another with --host`
    default:
      return `cannot listen on port ${port} of ${host}: ${error.message}`
  }
}
