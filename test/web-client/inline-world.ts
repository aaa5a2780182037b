// Engine and pages in one Node process, joined by message channels, over stores in memory that outlive the engine: what a
// browser's hosts do, as far as tests of the page and the engine need it. An engine may be killed; pages find the next.

import { must } from '../../core/assert.ts'
import { PocketError } from '../../core/errors.ts'
import type { Clock } from '../../core/ports/clock.ts'
import { type Log, silentLog } from '../../core/ports/log.ts'
import type { Dialler } from '../../core/ports/transport.ts'
import { createMemoryStore } from '../../core/storage/memory-store.ts'
import { createSystemClock, createSystemRandom } from '../../server/system.ts'
import { type EngineLife, type EngineTab, openEngine } from '../../web-client/engine/engine.ts'
import type { AttachEvents } from '../../web-client/hosts/attach.ts'
import { PageClient } from '../../web-client/page/page-client.ts'
import type { ConnectOptions, WebClient } from '../../web-client/page/web-api.ts'
import { portOf } from '../../web-client/port/engine-port.ts'
import { portVersion } from '../../web-client/port/port-protocol.ts'
import type { DeviceStores } from '../../web-client/store/device-stores.ts'

interface Tab {
  readonly tabId: string
  readonly events: AttachEvents
  seat: EngineTab | undefined
  ports: MessagePort[]
}

export interface InlineWorldOptions {
  readonly log?: Log
  readonly dial?: (url: string) => Dialler
  /** Default: the system's. */
  readonly clock?: Clock
}

export class InlineWorld {
  readonly clock: Clock
  readonly stores: DeviceStores
  readonly #options: InlineWorldOptions
  readonly #tabs = new Set<Tab>()
  #engine: EngineLife | undefined
  #life = 0
  #tabCount = 0

  constructor(options: InlineWorldOptions = {}) {
    this.#options = options
    this.clock = options.clock ?? createSystemClock()
    const store = () => createMemoryStore({ clock: this.clock })
    this.stores = {
      kind: 'memory', error: undefined, device: store(), outbox: store(), replica: store(), epoch: 1,
      close: async () => {},
    } as DeviceStores
  }

  async start(): Promise<void> {
    this.#life++
    const { clock } = this
    const { log = silentLog, dial = () => { throw new Error('no relay here') } } = this.#options
    this.#engine = await openEngine({
      stores: this.stores, clock, random: createSystemRandom(), log, dial,
      failed: (error) => { throw error },
    })
    for (const tab of this.#tabs) this.#seat(tab)
  }

  /** The engine is gone without a word. */
  kill(): void {
    const error = new PocketError('ENGINE_LOST', 'the engine ended')
    for (const tab of this.#tabs) {
      for (const port of tab.ports.splice(0)) port.close()
      tab.seat = undefined
      tab.events.lost(error)
    }
    // What it would still do in its worker, nobody hears; its stores are left to the next.
    void this.#engine?.close(new PocketError('STORE_FAILED', 'killed'))
    this.#engine = undefined
  }

  /** A page with a client. */
  page(relayUrl?: string, options: ConnectOptions = {}): { readonly client: WebClient; vanish(): void } {
    let own: Tab | undefined
    const client = new PageClient((_options, events) => {
      const tab: Tab = { tabId: `tab-${++this.#tabCount}`, events, seat: undefined, ports: [] }
      own = tab
      this.#tabs.add(tab)
      queueMicrotask(() => this.#engine !== undefined && this.#seat(tab))
      return {
        tabId: tab.tabId,
        isLeader: false,
        close: async () => this.#leave(tab),
      }
    }, relayUrl, options)
    return { client, vanish: () => own !== undefined && this.#leave(own) }
  }

  async close(): Promise<void> {
    for (const tab of [...this.#tabs]) this.#leave(tab)
    await this.#engine?.close(new PocketError('CLOSED', 'the test is over'))
    this.#engine = undefined
  }

  #seat(tab: Tab): void {
    const { port1, port2 } = new MessageChannel()
    tab.ports = [port1, port2]
    const engine = must(this.#engine, 'the engine runs')
    const status = engine.statusWithOneMore()
    tab.seat = engine.accept(portOf(port1), tab.tabId)
    tab.events.attached(portOf(port2), {
      kind: 'welcome', portVersion, build: 'test', instanceId: String(this.#life), host: 'inline', status,
    })
  }

  #leave(tab: Tab): void {
    this.#tabs.delete(tab)
    tab.seat?.gone()
    for (const port of tab.ports.splice(0)) setTimeout(() => port.close(), 50)
  }
}
