// What goes wrong on a simulated device and on its way to the relay. Each seed switches on some of the faults and leaves out
// the others; then they strike at random moments until `heal`.

import type { DeviceBrowser } from './device-browser.ts'
import { type DeviceDisk, storeNames } from './device-disk.ts'
import type { DeviceTab } from './device-tab.ts'
import type { SimClock } from './sim-clock.ts'
import type { SimNetwork } from './sim-network.ts'
import type { SimRandom } from './sim-random.ts'
import type { SimRelay } from './sim-relay.ts'
import { noFaults, type SimStoreFaults } from './sim-store.ts'
import type { Trace } from './trace.ts'

export const deviceFaultKinds = [
  'engine-kill', 'kill-in-commit', 'engine-retire', 'engine-freeze', 'steal', 'steal-frozen', 'power-cut', 'tab-crash',
  'tab-freeze', 'tab-reload', 'slow-lines', 'disk-full', 'slow-disk', 'failed-sync', 'refused-commit', 'failed-read',
  'relay-crash', 'relay-stop', 'relay-away', 'cut', 'half-cut', 'mute', 'stall', 'dials-ignored',
] as const

export type DeviceFaultKind = (typeof deviceFaultKinds)[number]

export interface DeviceNemesisDeps {
  readonly clock: SimClock
  readonly random: SimRandom
  readonly trace: Trace
  readonly network: SimNetwork
  readonly relay: SimRelay
  readonly disk: DeviceDisk
  readonly browser: DeviceBrowser
  /** What the disk does when nothing is wrong with it. */
  readonly diskBaseline: Readonly<Partial<SimStoreFaults>>
  readonly tabs: () => readonly DeviceTab[]
  readonly crashTab: (tab: DeviceTab) => void
  readonly reloadTab: (tab: DeviceTab) => void
  readonly freezeTab: (tab: DeviceTab, isAnnounced: boolean) => void
  readonly thawTab: (tab: DeviceTab) => void
  readonly powerCut: () => void
  /** The engine stands still: leases may end meanwhile. */
  readonly engineFrozen: () => void
}

export class DeviceNemesis {
  readonly kinds: readonly DeviceFaultKind[]
  /** How often each fault has struck. */
  readonly landed = new Map<DeviceFaultKind, number>()
  readonly #deps: DeviceNemesisDeps
  readonly #random: SimRandom
  #isHealed = false

  constructor(deps: DeviceNemesisDeps) {
    this.#deps = deps
    this.#random = deps.random.fork('nemesis')
    const share = this.#random.pick([0, 0.1, 0.2, 0.4])
    const chosen = deviceFaultKinds.filter(() => this.#random.chance(share))
    const isCalm = share === 0 && this.#random.chance(0.2)
    this.kinds = chosen.length > 0 || isCalm ? chosen : [this.#random.pick(deviceFaultKinds)]
    for (const kind of this.kinds) this.#schedule(kind)
  }

  /** Everything works again from now on, and nothing goes wrong any more; but the disk goes on taking its time. */
  heal(): void {
    this.#isHealed = true
    const { network, relay, browser, tabs, thawTab, clock, trace } = this.#deps
    trace.add(clock.monotonic(), 'heal')
    network.dials = 'answered'
    browser.latency.lineMs = this.#lineMs
    this.#setDisk({ ...noFaults, ...this.#deps.diskBaseline })
    relay.process.thaw()
    browser.thaw()
    for (const tab of tabs()) thawTab(tab)
  }

  /** As drawn for the world. */
  #lineMs: readonly [number, number] = [0.02, 1]

  set lineMs(lineMs: readonly [number, number]) {
    this.#lineMs = lineMs
    this.#deps.browser.latency.lineMs = lineMs
  }

  #schedule(kind: DeviceFaultKind): void {
    const { clock } = this.#deps
    // Soon for the first time, so that what is switched on strikes.
    const [least, most] = this.landed.has(kind) ? [500, 9_000] : [100, 1_800]
    clock.setTimer(this.#random.between(least, most), () => {
      if (this.#isHealed) return
      const what = this.#strike(kind)
      if (what !== undefined) {
        this.#deps.trace.add(clock.monotonic(), 'fault', kind, what)
        this.landed.set(kind, (this.landed.get(kind) ?? 0) + 1)
      }
      this.#schedule(kind)
    })
  }

  /** What was struck; undefined where there was nothing to strike. */
  #strike(kind: DeviceFaultKind): string | undefined {
    const { network, relay, browser, disk } = this.#deps
    const random = this.#random
    switch (kind) {
      case 'engine-kill':
        return browser.kill() ? '' : undefined
      case 'kill-in-commit':
        return this.#killInCommit(200)
      case 'engine-retire':
        return browser.retire() ? '' : undefined
      case 'engine-freeze':
        return this.#freezeEngine(random.between(50, random.pick([1_000, 8_000])))
      case 'steal':
        return browser.steal() ? '' : undefined
      case 'steal-frozen': {
        const what = this.#freezeEngine(random.between(200, 9_000))
        if (what !== undefined) this.#later(random.between(0, 3_000), () => void browser.steal())
        return what
      }
      case 'power-cut':
        this.#deps.powerCut()
        return ''
      case 'tab-crash':
        return this.#atATab((tab) => this.#deps.crashTab(tab))
      case 'tab-reload':
        return this.#atATab((tab) => this.#deps.reloadTab(tab))
      case 'tab-freeze':
        return this.#atATab((tab) => {
          if (tab.process.isFrozen) return
          this.#deps.freezeTab(tab, random.chance(0.5))
          const forMs = random.between(50, random.pick([2_000, 12_000, 45_000]))
          this.#later(forMs, () => this.#deps.thawTab(tab))
        })
      case 'slow-lines':
        browser.latency.lineMs = [0.1, random.pick([50, 400])]
        this.#later(random.between(500, 5_000), () => (browser.latency.lineMs = this.#lineMs))
        return ''
      case 'disk-full': {
        const name = random.pick(['device', 'outbox'] as const)
        const { usedBytes } = disk.slot(name).store.space()
        return this.#forAWhile({ capacityBytes: usedBytes + random.below(20_000) }, random.between(100, 6_000), [name])
      }
      case 'slow-disk':
        return this.#forAWhile({
          commitLatencyMs: [0, random.between(5, 300)], readLatencyMs: [0, random.between(1, 100)],
        }, random.between(500, 5_000))
      case 'failed-sync':
        return this.#forAWhile({ failedSyncChance: 1 }, random.between(5, 200), [random.pick(storeNames)])
      case 'refused-commit':
        return this.#forAWhile({ refusedCommitChance: 1 }, random.between(5, 200), [random.pick(storeNames)])
      case 'failed-read':
        return this.#forAWhile({ failedReadChance: 0.5 }, random.between(20, 1_000), [random.pick(storeNames)])
      case 'relay-crash':
        if (relay.door === undefined) return undefined
        relay.crash()
        return ''
      case 'relay-stop':
        if (relay.door === undefined) return undefined
        relay.stop()
        return ''
      case 'relay-away':
        network.dials = 'refused'
        for (const link of [...network.links]) link.cut()
        this.#later(random.between(500, random.pick([5_000, 30_000])), () => (network.dials = 'answered'))
        return ''
      case 'dials-ignored':
        network.dials = 'ignored'
        this.#later(random.between(100, 5_000), () => (network.dials = 'answered'))
        for (const link of [...network.links]) link.cut()
        return ''
      case 'cut':
      case 'half-cut':
      case 'mute':
      case 'stall': {
        const links = [...network.links]
        if (links.length === 0) return undefined
        const link = random.pick(links)
        if (kind === 'cut') link.cut()
        else if (kind === 'half-cut') link.halfCut(random.chance(0.7) ? 'client' : 'server')
        else if (kind === 'mute') link.mute(random.pick(['up', 'down', 'both']))
        else link.stall(random.pick(['up', 'down']), random.between(50, 9_000))
        return link.client.peer
      }
    }
  }

  /** Kills the engine while a commit of it is under way. */
  #killInCommit(triesLeft: number): string | undefined {
    const { browser, disk, clock, trace } = this.#deps
    if (this.#isHealed || triesLeft === 0) return undefined
    const { engine } = browser
    if (engine !== undefined && disk.isCommitting(engine.process)) {
      trace.add(clock.monotonic(), 'fault', 'kill in commit')
      browser.kill()
    } else clock.setTimer(this.#random.between(0.05, 5), () => this.#killInCommit(triesLeft - 1))
    return ''
  }

  #freezeEngine(forMs: number): string | undefined {
    const { engine } = this.#deps.browser
    if (engine === undefined) return undefined
    engine.process.freeze()
    this.#deps.engineFrozen()
    this.#later(forMs, () => engine.process.thaw())
    return `${engine.process.name} for ${forMs.toFixed(0)} ms`
  }

  #atATab(strike: (tab: DeviceTab) => void): string | undefined {
    const tabs = this.#deps.tabs()
    if (tabs.length === 0) return undefined
    const tab = this.#random.pick(tabs)
    strike(tab)
    return tab.name
  }

  /** Sets faults of the disk, and takes them back after a while. */
  #forAWhile(change: Partial<SimStoreFaults>, forMs: number, names: readonly (typeof storeNames)[number][] = storeNames): string {
    const baseline: Partial<SimStoreFaults> = { ...noFaults, ...this.#deps.diskBaseline }
    this.#setDisk(change, names)
    this.#later(forMs, () => {
      this.#setDisk(Object.fromEntries(Object.keys(change).map((name) => [name, baseline[name as keyof SimStoreFaults]])), names)
    })
    return `${names.join(' ')} ${forMs.toFixed(0)} ms`
  }

  #setDisk(change: Partial<SimStoreFaults>, names: readonly (typeof storeNames)[number][] = storeNames): void {
    for (const name of names) Object.assign(this.#deps.disk.slot(name).faults, change)
  }

  #later(delayMs: number, run: () => void): void {
    this.#deps.clock.setTimer(delayMs, () => {
      if (!this.#isHealed) run()
    })
  }
}
