// What goes wrong in a simulated run. Each seed switches on some of the faults and leaves out the others (a swarm), so
// that rare combinations come up and no fault hides another; then they strike at random moments until `heal`.

import type { SimClient } from './sim-client.ts'
import type { SimClock } from './sim-clock.ts'
import type { Link, SimNetwork } from './sim-network.ts'
import type { SimRandom } from './sim-random.ts'
import type { SimRelay } from './sim-relay.ts'
import { noFaults } from './sim-store.ts'
import type { Trace } from './trace.ts'

export const faultKinds = [
  'relay-crash', 'crash-in-commit', 'crash-in-rare-commit', 'relay-stop', 'relay-freeze', 'failed-sync', 'refused-commit',
  'failed-read', 'disk-full', 'slow-disk', 'flipped-bit', 'client-kill', 'client-freeze', 'wall-jump', 'cut', 'cut-all',
  'half-cut', 'network-down', 'dials-ignored', 'mute', 'stall', 'slow-path',
] as const

export type FaultKind = (typeof faultKinds)[number]

export interface NemesisDeps {
  readonly clock: SimClock
  readonly random: SimRandom
  readonly network: SimNetwork
  readonly relay: SimRelay
  readonly trace: Trace
  readonly clients: () => readonly SimClient[]
  readonly killClient: (client: SimClient) => void
  readonly storeReserveBytes: number
  /** How long it has for its work. */
  readonly workMs: number
}

/** More than that, and hardly anything is left to check. */
const flipCountMax = 3

export class Nemesis {
  readonly kinds: readonly FaultKind[]
  /** How often each fault has struck. */
  readonly landed = new Map<FaultKind, number>()
  readonly #deps: NemesisDeps
  readonly #random: SimRandom
  #isHealed = false
  #flipCount = 0

  constructor(deps: NemesisDeps) {
    this.#deps = deps
    this.#random = deps.random.fork('nemesis')
    const share = this.#random.pick([0, 0.15, 0.3, 0.6])
    const chosen = faultKinds.filter(() => this.#random.chance(share))
    const isCalm = share === 0 && this.#random.chance(0.3)
    this.kinds = chosen.length > 0 || isCalm ? chosen : [this.#random.pick(faultKinds)]
    for (const kind of this.kinds) this.#schedule(kind)
  }

  /** Everything works again from now on, and nothing goes wrong any more; but the disk goes on taking its time. */
  heal(): void {
    this.#isHealed = true
    const { network, relay, clients, clock, trace } = this.#deps
    trace.add(clock.monotonic(), 'heal')
    network.dials = 'answered'
    relay.storeTap.rareCommitBegins = undefined
    Object.assign(relay.store.faults, this.diskBaseline)
    relay.process.thaw()
    for (const client of clients()) client.process.thaw()
  }

  #schedule(kind: FaultKind): void {
    const { clock, workMs } = this.#deps
    // Soon for the first time, so that what is switched on strikes.
    const [least, most] = this.landed.has(kind) ? [0.1, 1.4] : [0.05, 0.8]
    clock.setTimer(this.#random.between(least, most) * workMs, () => {
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
  #strike(kind: FaultKind): string | undefined {
    const { network, relay, clients, killClient } = this.#deps
    const random = this.#random
    const { faults } = relay.store
    switch (kind) {
      case 'relay-crash':
        if (relay.door === undefined) return undefined
        relay.crash()
        return ''
      case 'crash-in-commit':
        return this.#crashInCommit(200)
      case 'crash-in-rare-commit':
        this.#crashInRareCommits(1 + random.below(4))
        return ''
      case 'relay-stop':
        if (relay.door === undefined) return undefined
        relay.stop()
        return ''
      case 'relay-freeze': {
        const { process } = relay
        const forMs = random.between(50, 6_000)
        process.freeze()
        this.#later(forMs, () => process.thaw())
        return `${forMs.toFixed(0)} ms`
      }
      case 'failed-sync':
        return this.#forAWhile(faults, { failedSyncChance: 1 }, random.between(20, 500))
      case 'refused-commit':
        return this.#forAWhile(faults, { refusedCommitChance: 1 }, random.between(20, 500))
      case 'failed-read':
        return this.#forAWhile(faults, { failedReadChance: 0.5 }, random.between(50, 2_000))
      case 'disk-full': {
        const { storeReserveBytes } = this.#deps
        const roomBytes = random.chance(0.5) ? storeReserveBytes * random.between(0.9, 1.2) : random.below(3_000)
        const { usedBytes } = relay.store.space()
        return this.#forAWhile(faults, { capacityBytes: usedBytes + Math.floor(roomBytes) }, random.between(100, 4_000))
      }
      case 'slow-disk':
        return this.#forAWhile(faults, {
          commitLatencyMs: [0, random.between(5, 300)], readLatencyMs: [0, random.between(1, 100)],
        }, random.between(500, 5_000))
      case 'client-kill': {
        const alive = clients()
        if (alive.length === 0) return undefined
        const client = random.pick(alive)
        killClient(client)
        return client.process.name
      }
      case 'client-freeze': {
        const alive = clients()
        if (alive.length === 0) return undefined
        const { process } = random.pick(alive)
        process.freeze()
        this.#later(random.between(50, 12_000), () => process.thaw())
        return process.name
      }
      case 'wall-jump': {
        const byMs = Math.round((random.chance(0.5) ? -1 : 1) * random.between(10, 3_600_000))
        const alive = clients()
        const isRelay = alive.length === 0 || random.chance(0.4)
        const process = isRelay ? relay.process : random.pick(alive).process
        if (isRelay) relay.jumpWall(byMs)
        else process.jumpWall(byMs)
        return `${process.name} by ${byMs} ms`
      }
      case 'flipped-bit':
        if (this.#flipCount >= flipCountMax || !relay.storeTap.flipBit(random)) return undefined
        this.#flipCount++
        return ''
      case 'cut':
        return this.#atALink((link) => link.cut())
      case 'cut-all':
        for (const link of [...network.links]) link.cut()
        return ''
      case 'network-down':
        network.dials = 'refused'
        for (const link of [...network.links]) if (random.chance(0.7)) link.cut()
        this.#later(random.between(100, 8_000), () => (network.dials = 'answered'))
        return ''
      case 'dials-ignored':
        network.dials = 'ignored'
        this.#later(random.between(100, 5_000), () => (network.dials = 'answered'))
        return this.#atALink((link) => link.cut()) ?? ''
      case 'mute':
        return this.#atALink((link) => link.mute(random.pick(['up', 'down', 'both'])))
      case 'half-cut':
        return this.#atALink((link) => link.halfCut(random.chance(0.7) ? 'client' : 'server'))
      case 'slow-path':
        return this.#atALink((link) => {
          link.throttle(random.pick(['up', 'down', 'down']), random.pick([0.5, 4, 30]), random.between(500, 6_000))
        })
      case 'stall':
        return this.#atALink((link) => link.stall(random.pick(['up', 'down']), random.between(50, 9_000)))
    }
  }

  /** Crashes the relay while a commit is under way. */
  #crashInCommit(triesLeft: number): string | undefined {
    const { relay, clock, trace } = this.#deps
    if (this.#isHealed || triesLeft === 0) return undefined
    if (relay.door !== undefined && relay.store.isCommitting) {
      trace.add(clock.monotonic(), 'fault', 'crash in commit')
      relay.crash()
    } else clock.setTimer(this.#random.between(0.05, 5), () => this.#crashInCommit(triesLeft - 1))
    return ''
  }

  /** Crashes the relay while, or just after, it commits what few commits have; so many times. */
  #crashInRareCommits(timesLeft: number): void {
    const { relay } = this.#deps
    const { storeTap } = relay
    if (timesLeft === 0) return
    storeTap.rareCommitBegins = () => {
      this.#later(this.#random.between(0, this.#random.pick([0.5, 3, 20])), () => {
        relay.crash()
        this.#crashInRareCommits(timesLeft - 1)
      })
    }
  }

  #atALink(strike: (link: Link) => void): string | undefined {
    const links = [...this.#deps.network.links]
    if (links.length === 0) return undefined
    const link = this.#random.pick(links)
    strike(link)
    return link.client.peer
  }

  /** Sets faults of the disk, and takes them back after a while. */
  #forAWhile(faults: object, change: Readonly<Record<string, unknown>>, forMs: number): string {
    const baseline = this.diskBaseline
    Object.assign(faults, change)
    this.#later(forMs, () => {
      for (const name of Object.keys(change)) Object.assign(faults, { [name]: baseline[name] })
    })
    return `${forMs.toFixed(0)} ms`
  }

  /** What the disk does when nothing is wrong with it. */
  diskBaseline: Readonly<Record<string, unknown>> = { ...noFaults }

  #later(delayMs: number, run: () => void): void {
    this.#deps.clock.setTimer(delayMs, () => {
      if (!this.#isHealed) run()
    })
  }
}
