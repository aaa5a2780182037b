// The engine of a device: a broker for its own topics, one connection to a relay for the others, and a session for every
// tab. Whatever hosts it gives it stores and hands it tabs. It is crash-only: all it must not lose is in the stores.

import { Broker } from '../../core/broker/broker.ts'
import type { GapEvent } from '../../core/client/api.ts'
import { PocketError, toPocketError } from '../../core/errors.ts'
import { defaultLimits, type Limits } from '../../core/limits.ts'
import type { CancelTimer, Clock } from '../../core/ports/clock.ts'
import type { Log } from '../../core/ports/log.ts'
import type { Random } from '../../core/ports/random.ts'
import type { Dialler } from '../../core/ports/transport.ts'
import { authenticateAnybody } from '../../core/session/auth.ts'
import { FlushQueue } from '../../core/session/flush-queue.ts'
import { createInProcessListener, type InProcessListener } from '../../core/session/in-process-transport.ts'
import { ReplyRouter } from '../../core/session/reply-router.ts'
import { ServerSession } from '../../core/session/server-session.ts'
import { SessionCounters } from '../../core/session/session-counters.ts'
import type { EnginePort } from '../port/engine-port.ts'
import type { EngineStatus, TabSettings } from '../port/port-protocol.ts'
import type { DeviceStores } from '../store/device-stores.ts'
import { openRelayLink, type RelayLink } from './relay-link.ts'
import { TabSession } from './tab-session.ts'
import { SharedGroups } from './tab-transactions.ts'

const mebibyte = 1024 * 1024

/** Of the device's own broker: a browser has less memory and room than a relay, and one person's order to keep. */
export const deviceLimits: Limits = {
  ...defaultLimits,
  connectionCountMax: 1_000,
  // A topic that nobody created has one queue, and so one order over all its messages.
  queueCountDefault: 1,
  // Tabs have a member of their own for each engine: one of an engine that has died does not come back.
  memberGraceMs: 0,
  tailCacheBytesMax: 16 * mebibyte,
  // A large record at a time: the first message after a start waits for no more.
  readChunkBytes: mebibyte / 4,
  storeReserveBytes: 4 * mebibyte,
}

/** Status goes to the tabs at most so often. */
const statusMs = 100

export interface EngineDeps {
  readonly stores: DeviceStores
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Opens connections to the relay at a URL. */
  readonly dial: (url: string) => Dialler
  /** The engine can't go on (its store failed): it is to be closed, and another opened on the stores' next opening. */
  readonly failed: (error: PocketError) => void
}

/** A tab's place in the engine. */
export interface EngineTab {
  /** The tab is gone: what it held goes back at once. */
  gone(): void
}

export interface EngineLife {
  /** A tab has been welcomed: serves what it asks for over its port. */
  accept(port: EnginePort, tabId: string): EngineTab
  /** As it will be when another tab is accepted. */
  statusWithOneMore(): EngineStatus
  /** Ends all tabs' work. Their calls are not answered any more. */
  close(error: PocketError): Promise<void>
}

export type OpenEngine = (deps: EngineDeps) => Promise<EngineLife>

/** Opens the engine on its stores. Rejects with STORE_FAILED or STORE_FULL. */
export const openEngine: OpenEngine = async (deps) => {
  const flushQueue = new FlushQueue(deps.clock)
  const { clock, random, log, stores, failed } = deps
  const broker = await Broker.open({
    store: stores.device, clock, random, log, limits: deviceLimits, autoCreateTopics: true, opensEarly: true,
    released: () => flushQueue.flushAll(),
    failed,
  })
  return new Engine(deps, broker, flushQueue)
}

class Engine implements EngineLife {
  readonly #deps: EngineDeps
  readonly #broker: Broker
  readonly #listener: InProcessListener
  readonly #sharedGroups = new SharedGroups()
  readonly #tabs = new Set<TabSession>()
  #relayUrl: string | undefined
  #relay: Promise<RelayLink> | undefined
  #openRelay: RelayLink | undefined
  #persisted: boolean | undefined
  #lastToken = ''
  #cancelStatus: CancelTimer | undefined
  #isOver = false

  constructor(deps: EngineDeps, broker: Broker, flushQueue: FlushQueue) {
    const { clock, random, log } = deps
    this.#deps = deps
    this.#broker = broker
    const sessionDeps = {
      broker, clock, log, limits: deviceLimits, flushQueue,
      relayId: [...random.bytes(8)].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
      authenticate: authenticateAnybody,
      counters: new SessionCounters(),
      replies: new ReplyRouter(deviceLimits),
      ended: () => {},
    }
    this.#listener = createInProcessListener({
      clock, peer: 'tab', accept: (connection) => new ServerSession(connection, sessionDeps),
    })
  }

  accept(port: EnginePort, tabId: string): EngineTab {
    const { clock, random, log } = this.#deps
    const tab = new TabSession({
      port, tabId, clock, random, log,
      dialler: this.#listener,
      sharedGroups: this.#sharedGroups,
      status: () => this.#status(),
      configured: async (settings) => {
        await this.#configured(settings)
        for (const { reason, database } of this.#deps.stores.losses ?? []) {
          const what = reason === 'emptied' ? 'had been deleted or evicted' : 'can’t be opened any more'
          const text = `what this device had kept is gone: '${database}' ${what}; a new one is begun`
          tab.report(new PocketError('STORE_FAILED', text))
        }
      },
      relay: () => this.#relayLink(),
      nudged: () => this.#openRelay?.nudge(),
    })
    this.#tabs.add(tab)
    this.#changed()
    return {
      gone: () => {
        this.#tabs.delete(tab)
        this.#changed()
        void tab.close()
      },
    }
  }

  statusWithOneMore(): EngineStatus {
    const status = this.#status()
    return { ...status, tabCount: status.tabCount + 1 }
  }

  async close(error: PocketError): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelStatus?.()
    this.#deps.log.debug('engine closing', { code: error.code, reason: error.message })
    const tabs = [...this.#tabs]
    this.#tabs.clear()
    // What has a store that failed is not waited for: nothing answers there.
    // One that is just being opened is closed behind that: it would connect for nobody.
    const relayClosed = this.#relay?.then((relay) => relay.close(), () => {})
    const closing = Promise.all([...tabs.map((tab) => tab.close()), relayClosed])
    const { code } = error.cause instanceof PocketError ? error.cause : error
    if (code !== 'STORE_FAILED' && code !== 'STORE_FULL') {
      await closing
      await this.#broker.drain()
    }
    this.#listener.close()
    this.#broker.close()
  }

  // ── the relay ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** All tabs of one engine have one relay: the outbox is for it. */
  async #configured({ relayUrl, persisted, clientName, storage }: TabSettings): Promise<void> {
    this.#persisted ??= persisted
    if (relayUrl === undefined) return
    if (this.#relayUrl !== undefined && this.#relayUrl !== relayUrl) {
      const text = `the tabs of this name use the relay at ${this.#relayUrl}; take another name for ${relayUrl}`
      throw new PocketError('BAD_ARGUMENT', text)
    }
    this.#relayUrl = relayUrl
    this.#relay ??= this.#open(relayUrl, clientName, storage)
    try {
      this.#openRelay = await this.#relay
      // A page that is opened or loaded anew may bring the token that was missing, and its user waits for the relay.
      this.#openRelay.nudge()
    } catch (thrown) {
      // The stores can't be read just now. Pages try with the next engine, and don't take it for their own fault.
      this.#deps.failed(toPocketError(thrown))
      throw new PocketError('ENGINE_LOST', 'the outbox or the copies could not be opened', { cause: thrown })
    }
  }

  async #open(
    url: string, clientName: string, { outboxBytesMax, copyBytesMax }: TabSettings['storage'],
  ): Promise<RelayLink> {
    const { stores, clock, random, log, dial } = this.#deps
    return openRelayLink({
      url, stores, clock, random, log,
      dialler: dial(url),
      clientName: clientName === '' ? 'browser' : clientName,
      ...(outboxBytesMax === undefined ? {} : { outboxBytesMax }),
      ...(copyBytesMax === undefined ? {} : { replicaBytesMax: copyBytesMax }),
      token: (context) => this.#token(context),
      changed: () => this.#changed(),
      gap: (gap) => this.#gap(gap),
      error: (error) => this.#tell(error),
      failed: (error) => this.#deps.failed(error),
    })
  }

  #relayLink(): RelayLink {
    if (this.#openRelay !== undefined) return this.#openRelay
    throw new PocketError('BAD_ARGUMENT', 'no relay was named: give connect() its URL, or use a device topic')
  }

  /** Any tab that can is asked; the next one where it goes away meanwhile. */
  async #token({ reason, signal }: { readonly reason: 'connect' | 'reconnect'; readonly signal: AbortSignal }): Promise<string> {
    let failure: unknown
    for (const tab of [...this.#tabs].reverse()) {
      if (!tab.hasAuth) continue
      try {
        this.#lastToken = await tab.token(reason, signal)
        return this.#lastToken
      } catch (error) {
        failure = error
      }
    }
    if (failure !== undefined && this.#lastToken === '') throw failure
    return this.#lastToken
  }

  #gap(gap: GapEvent): void {
    for (const tab of this.#tabs) tab.gap(gap)
  }

  #tell(error: PocketError): void {
    this.#deps.log.error('relay', { code: error.code, reason: error.message })
    for (const tab of this.#tabs) tab.report(error)
  }

  // ── status ────────────────────────────────────────────────────────────────────────────────────────────────────

  #status(): EngineStatus {
    const { stores } = this.#deps
    const relay = this.#openRelay?.status
    const { usedBytes, freeBytes } = stores.device.space()
    return {
      link: relay?.link ?? (this.#relayUrl === undefined ? 'none' : 'connecting'),
      ...(relay?.linkError === undefined ? {} : { linkError: relay.linkError }),
      isOffline: relay?.isOffline ?? false,
      outboxCount: relay?.outboxCount ?? 0,
      outboxBytes: relay?.outboxBytes ?? 0,
      ...(relay?.outboxOldestMs === undefined ? {} : { outboxOldestMs: relay.outboxOldestMs }),
      lag: relay?.lag ?? 0,
      storage: stores.kind,
      ...(stores.error === undefined ? {} : { storageError: stores.error }),
      ...(stores.losses?.[0] === undefined ? {} : { storageLoss: stores.losses[0].reason }),
      ...(stores.generation === undefined ? {} : { storageGeneration: stores.generation }),
      ...(this.#persisted === undefined ? {} : { persisted: this.#persisted }),
      usedBytes,
      ...(Number.isFinite(freeBytes) ? { quotaBytes: usedBytes + freeBytes } : {}),
      tabCount: this.#tabs.size,
    }
  }

  #changed(): void {
    if (this.#cancelStatus !== undefined || this.#isOver) return
    this.#cancelStatus = this.#deps.clock.setTimer(statusMs, () => {
      this.#cancelStatus = undefined
      const status = this.#status()
      for (const tab of this.#tabs) tab.tell({ kind: 'status', status })
    })
  }
}
