// The worker's side of hosts over locks in memory: versions, makers of room, failing stores, stolen locks, retirement. What
// depends on a real browser is in test/e2e/hosts.test.ts.

import { afterEach, describe, expect, test, vi } from 'vitest'
import { PocketError } from '../../core/errors.ts'
import { silentLog } from '../../core/ports/log.ts'
import { createSystemClock, createSystemRandom } from '../../server/system.ts'
import { createEngineHost, type EngineHost, type EngineHostDeps } from '../../web-client/hosts/engine-host.ts'
import type { HostHello } from '../../web-client/hosts/host-protocol.ts'
import type { EnginePort, PortMessage } from '../../web-client/port/engine-port.ts'
import { type EngineStatus, portVersion } from '../../web-client/port/port-protocol.ts'
import type { DeviceStores } from '../../web-client/store/device-stores.ts'
import { FakeLocks } from './fake-locks.ts'

const someStatus: EngineStatus = {
  link: 'none', isOffline: false, outboxCount: 0, outboxBytes: 0, lag: 0, storage: 'memory', tabCount: 1,
}

/** What a page hears on its own line, and what it says. */
class Page {
  readonly heard: PortMessage[] = []
  #toHost: ((message: unknown) => void) | undefined
  #attempt = 0
  readonly tabId: string
  leave = () => {}

  constructor(tabId: string, host: EngineHost, locks: FakeLocks) {
    this.tabId = tabId
    const line: EnginePort = {
      post: (message) => void this.heard.push(message as PortMessage),
      listen: (listener) => {
        this.#toHost = listener
        return () => {}
      },
      close: () => {},
    }
    host.connect(line)
    void locks.manager.request(`pocketmq:test:tab:${tabId}`, () => new Promise<void>((resolve) => {
      this.leave = resolve
    }))
  }

  say(message: unknown): void {
    this.#toHost?.(message)
  }

  hello(differences: Partial<HostHello> = {}): void {
    const hello: HostHello = {
      kind: 'hello', name: 'test', portVersion, build: 'a', tabId: this.tabId, attempt: ++this.#attempt, ...differences,
    }
    this.say(hello)
  }

  get last(): PortMessage | undefined {
    return this.heard.at(-1)
  }

  until(expected: object): Promise<void> {
    return vi.waitFor(() => expect(this.last).toMatchObject(expected))
  }
}

class World {
  readonly locks = new FakeLocks()
  readonly hosts: EngineHost[] = []
  readonly gone: string[] = []
  /** Of the engine that was opened last. */
  fail: (error: PocketError) => void = () => {}
  openCount = 0
  openStores: EngineHostDeps['openStores'] = async () => {
    this.openCount++
    return { kind: 'memory', close: async () => {} } as unknown as DeviceStores
  }

  host(build = 'a', differences: Partial<EngineHostDeps> = {}): EngineHost {
    const host = createEngineHost({
      name: 'test', host: 'shared', build,
      locks: this.locks.manager,
      openChannel: (name) => {
        const channel = new BroadcastChannel(name)
        // Not to keep the process alive.
        ;(channel as unknown as { unref(): void }).unref()
        return channel
      },
      openStores: (options) => this.openStores(options),
      openEngine: async ({ failed }) => {
        this.fail = failed
        return {
          accept: (port, tabId) => {
            port.listen((message) => port.post({ kind: 'echoed', message }))
            return { gone: () => void this.gone.push(tabId) }
          },
          statusWithOneMore: () => someStatus,
          close: async () => {},
        }
      },
      dial: () => { throw new Error('no relay here') },
      clock: createSystemClock(), random: { ...createSystemRandom(), next: () => 0 }, log: silentLog,
      ...differences,
    })
    this.hosts.push(host)
    return host
  }

  page(tabId: string, host: EngineHost): Page {
    return new Page(tabId, host, this.locks)
  }
}

let world: World
const newWorld = () => {
  world = new World()
  return world
}
afterEach(() => Promise.all(world.hosts.map((host) => host.retire())))

describe('a host', () => {
  test('welcomes a tab when it has the lock, and passes on what the tab says after its hello', async () => {
    const host = newWorld().host()
    const page = world.page('tab', host)
    page.say({ kind: 'early' })
    page.hello()
    expect(page.heard).toEqual([{ kind: 'waiting' }])
    await page.until({ kind: 'welcome', portVersion, build: 'a', host: 'shared', tabId: 'tab', attempt: 1 })
    page.say({ kind: 'later' })
    expect(page.last).toEqual({ kind: 'echoed', message: { kind: 'later' } })
    expect(world.locks.isHeld('pocketmq:test:engine')).toBe(true)
  })

  test('answers a ping by itself, also before it has the lock', () => {
    const page = newWorld().page('tab', world.host())
    page.say({ kind: 'ping', number: 7 })
    expect(page.last).toEqual({ kind: 'pong', number: 7 })
  })

  test.each([portVersion - 1, portVersion + 1])('does not serve a page of port version %i', (other) => {
    const page = newWorld().page('tab', world.host())
    page.hello({ portVersion: other })
    expect(page.last).toMatchObject({ kind: 'farewell', error: { code: 'ENGINE_REPLACED' }, attempt: 1 })
  })

  test('notices a tab that let go of its lock', async () => {
    const page = newWorld().page('tab', world.host())
    page.hello()
    await page.until({ kind: 'welcome' })
    page.leave()
    await vi.waitFor(() => expect(world.gone).toEqual(['tab']))
  })

  test('serves the latest hello of a tab, once', async () => {
    const page = newWorld().page('tab', world.host())
    page.hello()
    await page.until({ kind: 'welcome', attempt: 1 })
    page.hello()
    await page.until({ kind: 'welcome', attempt: 2 })
    expect(world.gone).toEqual(['tab'])
    page.say('x')
    expect(page.heard.filter((message) => message.kind === 'echoed')).toHaveLength(1)
  })

  test('leaves the queue for the lock when no tab waits any more', async () => {
    const first = newWorld().host()
    const page = world.page('first', first)
    page.hello()
    await page.until({ kind: 'welcome' })
    const waiting = world.page('second', world.host())
    await vi.waitFor(() => expect(world.locks.isHeld('pocketmq:test:tab:second')).toBe(true))
    waiting.hello({ attempt: 2 })
    waiting.leave()
    await vi.waitFor(() => expect(world.locks.isHeld('pocketmq:test:tab:second')).toBe(false))
    await first.retire()
    await vi.waitFor(() => expect(world.locks.isHeld('pocketmq:test:engine')).toBe(false))
    expect(waiting.heard).toEqual([{ kind: 'waiting' }])
  })

  test('starts anew when the engine fails, and tells the error after five lives in a row', async () => {
    const page = newWorld().page('tab', world.host())
    for (let life = 1; life <= 5; life++) {
      page.hello()
      await page.until({ kind: 'welcome', attempt: life })
      world.fail(new PocketError('STORE_FAILED', 'torn'))
      await page.until({ kind: 'farewell', error: { code: life < 5 ? 'ENGINE_LOST' : 'STORE_FAILED' }, attempt: life })
    }
    await vi.waitFor(() => expect(world.locks.isHeld('pocketmq:test:engine')).toBe(false))
    expect(world.openCount).toBe(5)
  })

  test('tells tabs that wait when its stores never open', async () => {
    newWorld().openStores = async () => { throw new PocketError('STORE_FULL', 'no room') }
    const page = world.page('tab', world.host())
    page.hello()
    await page.until({ kind: 'farewell', error: { code: 'STORE_FULL' } })
  })

  test('ends itself when its lock is stolen, and queues again', async () => {
    const page = newWorld().page('tab', world.host())
    page.hello()
    await page.until({ kind: 'welcome' })
    const { instanceId } = page.last as unknown as { instanceId: string }
    await world.locks.manager.request('pocketmq:test:engine', { steal: true }, () => {})
    await page.until({ kind: 'farewell', error: { code: 'ENGINE_LOST' } })
    await vi.waitFor(() => expect(world.locks.isHeld(`pocketmq:test:engine:${instanceId}`)).toBe(false))
    page.hello()
    await page.until({ kind: 'welcome', attempt: 2 })
  })

  test('ends in order when it retires: farewell, then its locks are free', async () => {
    const host = newWorld().host()
    const page = world.page('tab', host)
    page.hello()
    await page.until({ kind: 'welcome' })
    page.say({ kind: 'retire' })
    await page.until({ kind: 'retired' })
    expect(page.heard.at(-2)).toMatchObject({ kind: 'farewell', error: { code: 'ENGINE_LOST' } })
    expect(world.locks.isHeld('pocketmq:test:engine')).toBe(false)
  })

  test('without locks serves its own page from memory, and says why', async () => {
    let reason: PocketError | undefined
    newWorld().openStores = async ({ memoryOnly }) => {
      reason = memoryOnly
      return { kind: 'memory', close: async () => {} } as unknown as DeviceStores
    }
    const page = world.page('tab', world.host('a', { locks: undefined, host: 'inline' }))
    page.hello()
    await page.until({ kind: 'welcome', host: 'inline' })
    expect(reason?.message).toMatch(/Web Locks/)
  })
})

describe('hosts of two builds', () => {
  test('the one whose page comes later gets the engine, and is not asked back', async () => {
    const older = newWorld().host('a')
    const first = world.page('first', older)
    first.hello()
    await first.until({ kind: 'welcome' })
    const second = world.page('second', world.host('b'))
    second.hello()
    await second.until({ kind: 'welcome', build: 'b' })
    await first.until({ kind: 'farewell', error: { code: 'ENGINE_LOST' } })
    // The older host waits: it neither asks nor serves while the newer one runs.
    first.hello()
    await first.until({ kind: 'waiting' })
    const third = world.page('third', older)
    third.hello()
    await third.until({ kind: 'waiting' })
    expect(second.last).toMatchObject({ kind: 'welcome' })
  })

  test('a page that was with another engine before makes nobody go', async () => {
    const first = newWorld().page('first', world.host('a'))
    first.hello()
    await first.until({ kind: 'welcome' })
    const second = world.page('second', world.host('b'))
    second.hello({ attempt: 2 })
    // Answered over the same channel behind which a request for room would have come.
    const control = new BroadcastChannel('pocketmq:test:control')
    const heard: unknown[] = []
    control.onmessage = ({ data }: MessageEvent) => heard.push(data)
    control.postMessage({ kind: 'ping', number: 1 })
    await vi.waitFor(() => expect(heard).toContainEqual({ kind: 'pong', number: 1 }))
    control.close()
    expect(first.last).toMatchObject({ kind: 'welcome' })
    expect(second.last).toEqual({ kind: 'waiting' })
  })

  test('a request of an older port version is not heard', async () => {
    const first = newWorld().page('first', world.host('a'))
    first.hello()
    await first.until({ kind: 'welcome' })
    const control = new BroadcastChannel('pocketmq:test:control')
    const heard: unknown[] = []
    control.onmessage = ({ data }: MessageEvent) => heard.push(data)
    control.postMessage({ kind: 'make-room', portVersion: portVersion - 1, build: 'old' })
    control.postMessage({ kind: 'ping', number: 1 })
    await vi.waitFor(() => expect(heard).toContainEqual({ kind: 'pong', number: 1 }))
    control.postMessage({ kind: 'make-room', portVersion: portVersion + 1, build: 'new' })
    await first.until({ kind: 'farewell' })
    control.close()
  })

  test('an older page on the channel is told to reload, and a newer one is left to its own host', async () => {
    const first = newWorld().page('first', world.host('a'))
    first.hello()
    await first.until({ kind: 'welcome' })
    const control = new BroadcastChannel('pocketmq:test:control')
    const heard: PortMessage[] = []
    control.onmessage = ({ data }: MessageEvent<PortMessage>) => heard.push(data)
    const hello: HostHello = { kind: 'hello', name: 'test', portVersion: portVersion + 1, build: 'c', tabId: 'new', attempt: 1 }
    control.postMessage(hello)
    control.postMessage({ ...hello, portVersion: portVersion - 1, tabId: 'old' })
    await vi.waitFor(() => expect(heard).toHaveLength(1))
    expect(heard[0]).toMatchObject({ kind: 'farewell', tabId: 'old', error: { code: 'ENGINE_REPLACED' } })
    control.close()
  })
})
