// The worker's side of every host: gets the engine's lock, runs one life of the engine after the other while it has it,
// and makes room for a newer build. Crash-only: whatever goes wrong, the next life starts from the stores.
//
//   idle ──hello──> queued ──lock──> opening ──> living ──failed──> (a moment later) opening; too often: all are told
//     ^                ^                            │
//     └──no tab waits──┴───────make-room, stolen────┘        retire: the end, from anywhere
//
// Locks: one for the engine that runs, one named after this life of it; a tab's is queued on (host-tabs.ts).

import { PocketError, toPocketError } from '../../core/errors.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { Log } from '../../core/ports/log.ts'
import type { Random } from '../../core/ports/random.ts'
import type { Dialler } from '../../core/ports/transport.ts'
import { backoffDelayMs } from '../../core/session/backoff.ts'
import type { EngineLife, OpenEngine } from '../engine/engine.ts'
import { isPortMessage, type EnginePort } from '../port/engine-port.ts'
import { type HostKind, portVersion } from '../port/port-protocol.ts'
import type { DeviceStores } from '../store/device-stores.ts'
import {
  controlOf, engineLockOf, instanceLockOf, type ControlMessage, type HostHello, type MakeRoom,
} from './host-protocol.ts'
import { farewellTo, HostTabs } from './host-tabs.ts'

export interface OpenStoresOptions {
  readonly name: string
  readonly clock: Clock
  readonly log: Log
  /** The stores can't go on: lost, closed by the browser, or fenced by a later opening. */
  readonly lost: (error: PocketError) => void
  /** Why nothing may be kept: without locks two engines could write at once. */
  readonly memoryOnly: PocketError | undefined
}

export interface EngineHostDeps {
  readonly name: string
  readonly host: HostKind
  /** Of the code that runs here, which may not be the page's. */
  readonly build: string
  /** Undefined where the browser gives none: the engine is then this page's alone. */
  readonly locks: LockManager | undefined
  readonly openChannel: (name: string) => BroadcastChannel
  readonly openStores: (options: OpenStoresOptions) => Promise<DeviceStores>
  readonly openEngine: OpenEngine
  readonly dial: (url: string, clock: Clock) => Dialler
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface EngineHost {
  /** A line of a page: its hellos are answered when the engine runs. */
  connect(line: EnginePort): void
  /** Ends the engine in order and lets go of all locks. The host takes no hello any more. */
  retire(): Promise<void>
}

export function createEngineHost(deps: EngineHostDeps): EngineHost {
  return new LockedHost(deps)
}

/** Lives that fail one after the other before the tabs are told that there will be none. */
const livesInARowMax = 5
/** A life that lasted so long was a good one. */
const goodLifeMs = 60_000
/** Stores and engine that take longer to open are taken for hung. */
const openMsMax = 30_000
/** How long a life may take to end in order: its last commit. */
const closeMsMax = 5_000
/** For a message on the control channel to be heard by all. */
const stepBehindMs = 50

/** Why a life ended, and whether the host goes on with another one under the same lock. */
interface Ending {
  readonly kind: 'failed' | 'replaced' | 'stolen' | 'retired'
  readonly error: PocketError
}

class LockedHost implements EngineHost {
  readonly #deps: EngineHostDeps
  readonly #tabs: HostTabs
  readonly #control: BroadcastChannel | undefined
  /** Running through the drawing above; undefined when idle. */
  #run: Promise<void> | undefined
  /** Takes the host out of the queue for the lock. */
  #queued: AbortController | undefined
  /** Ends what holds the lock. */
  #stop: ((ending: Ending) => void) | undefined
  /** A newer build asked: this one never asks back. */
  #isReplaced = false
  /** A page came with this build for the first time, so that others have to make room. */
  #mayAsk = false
  #isRetired = false
  /** Lives that have failed in a row. */
  #failureCount = 0

  constructor(deps: EngineHostDeps) {
    this.#deps = deps
    const { name, locks, openChannel } = deps
    this.#control = locks === undefined ? undefined : openChannel(controlOf(name))
    this.#control?.addEventListener('message', (event) => this.#heardControl(event.data as ControlMessage))
    this.#tabs = new HostTabs({
      name, locks, openChannel,
      tell: (message) => this.#say(message),
      abandoned: () => this.#queued?.abort(),
    })
  }

  connect(line: EnginePort): void {
    let hear: ((message: unknown) => void) | undefined
    line.listen((message) => {
      if (isPortMessage(message)) {
        if (message.kind === 'hello') {
          hear = this.#greet(message as HostHello, line)
          return
        }
        if (message.kind === 'ping') {
          line.post({ kind: 'pong', number: (message as unknown as { number: number }).number })
          return
        }
        if (message.kind === 'retire') {
          void this.retire().then(() => line.post({ kind: 'retired' }))
          return
        }
      }
      hear?.(message)
    })
  }

  async retire(): Promise<void> {
    this.#isRetired = true
    this.#queued?.abort()
    this.#stop?.({ kind: 'retired', error: new PocketError('ENGINE_LOST', 'the page that ran the engine has gone') })
    await this.#run
    this.#control?.close()
  }

  #greet(hello: HostHello, line: EnginePort): ((message: unknown) => void) | undefined {
    if (this.#isRetired) return undefined
    if (hello.portVersion !== portVersion) {
      line.post(farewellTo(hello, replacedBy(this.#deps.build)))
      return undefined
    }
    const hear = this.#tabs.greet(hello, line)
    if (!this.#tabs.isServing) {
      line.post({ kind: 'waiting' })
      if (hello.attempt === 1) this.#mayAsk = true
      this.#run ??= this.#runOn()
      this.#askForRoom()
    }
    return hear
  }

  #heardControl(message: ControlMessage): void {
    const { build } = this.#deps
    switch (message.kind) {
      case 'hello':
        if (message.portVersion === portVersion) this.#tabs.greetFar(message)
        // A later version's own host has asked for room already.
        else if (message.portVersion < portVersion && this.#stop !== undefined) {
          this.#say(farewellTo(message, replacedBy(build)))
        }
        return
      case 'ping':
        if (this.#stop !== undefined) this.#say({ kind: 'pong', number: message.number })
        return
      case 'make-room':
        if (isNewer(message, build)) this.#makeRoom(message.build)
        return
      case 'here':
        if (message.build !== build) this.#askForRoom()
        break
      default:
        // Answers to pages.
    }
  }

  #askForRoom(): void {
    if (!this.#mayAsk || this.#isReplaced || this.#stop !== undefined || this.#tabs.isEmpty) return
    this.#say({ kind: 'make-room', portVersion, build: this.#deps.build })
  }

  #makeRoom(build: string): void {
    this.#isReplaced = true
    this.#deps.log.info('engine.makes-room', { for: build })
    // Behind whoever asked: the lock is given in the order of the queue.
    this.#queued?.abort()
    this.#stop?.({ kind: 'replaced', error: new PocketError('ENGINE_LOST', `the engine made room for build ${build}`) })
  }

  #say(message: ControlMessage | MakeRoom): void {
    this.#control?.postMessage(message)
  }

  async #runOn(): Promise<void> {
    try {
      while (!this.#isRetired && !this.#tabs.isEmpty) {
        if (this.#deps.locks === undefined) await this.#serve()
        else await this.#serveLocked(this.#deps.locks)
      }
    } catch (thrown) {
      const error = toPocketError(thrown)
      this.#deps.log.error('engine.host-failed', { message: error.message })
      this.#tabs.end(error, true)
    }
    this.#run = undefined
  }

  /** Queues for the lock and serves while it has it. Ends too when there is nobody to wait for, or others go first. */
  async #serveLocked(locks: LockManager): Promise<void> {
    const queued = new AbortController()
    this.#queued = queued
    let serving: Promise<void> | undefined
    try {
      await locks.request(engineLockOf(this.#deps.name), { signal: queued.signal }, () => {
        this.#queued = undefined
        serving = this.#serve()
        return serving
      })
    } catch (thrown) {
      if (serving === undefined) {
        if (queued.signal.aborted) return
        throw thrown
      }
      // Not ours any more: a page took this engine for dead. Another may write already; the stores' epoch keeps it safe.
      this.#deps.log.error('engine.lock-stolen')
      this.#stop?.({ kind: 'stolen', error: new PocketError('ENGINE_LOST', 'the engine was taken for dead') })
      await serving
    }
  }

  /** Lives in a row, until one ends by something else than a failure, or too many have failed. */
  async #serve(): Promise<void> {
    const { promise: stopped, resolve: stop } = createDeferred<Ending>()
    this.#stop = stop
    try {
      for (;;) {
        if (this.#failureCount > 0) {
          const delayMs = backoffDelayMs(this.#failureCount, this.#deps.random)
          // Where all tabs have gone elsewhere meanwhile, another host may be waiting for the lock with them.
          if (await this.#within(delayMs, stopped) !== late || this.#tabs.isEmpty) return
        }
        const { kind } = await this.#live(stopped)
        if (kind !== 'failed' || this.#failureCount === 0) return
      }
    } finally {
      this.#stop = undefined
    }
  }

  /** Counts a life that has failed; gives whether it was the last for now. */
  #fails(startedMs: number): boolean {
    const isGood = this.#deps.clock.monotonic() - startedMs >= goodLifeMs
    this.#failureCount = isGood ? 1 : this.#failureCount + 1
    if (this.#failureCount < livesInARowMax) return false
    this.#failureCount = 0
    return true
  }

  async #live(stopped: Promise<Ending>): Promise<Ending> {
    const startedMs = this.#deps.clock.monotonic()
    const { name, host, build, locks, random, log } = this.#deps
    const { promise: failed, resolve: fail } = createDeferred<Ending>()
    const failWith = (error: PocketError) => fail({ kind: 'failed', error })
    const instanceId = hexOf(random.bytes(8))
    // Held before the welcome that names it.
    const holding = holdLock(locks, instanceLockOf(name, instanceId))
    holding.catch(() => {})
    let stores: DeviceStores | undefined
    let engine: EngineLife | undefined
    let ending: Ending
    try {
      const { dial, clock, openStores, openEngine } = this.#deps
      const memoryOnly = locks === undefined ? withoutLocks() : undefined
      stores = await this.#opened(openStores({ name, clock, log, lost: failWith, memoryOnly }), (opened) => opened.close())
      engine = await this.#opened(
        openEngine({ stores, clock, random, log, dial: (url) => dial(url, clock), failed: failWith }),
        (opened) => opened.close(new PocketError('ENGINE_LOST', 'the engine took too long to open')),
      )
      await holding
      log.info('engine.runs', { instanceId, host, build, storage: stores.kind, epoch: stores.epoch })
      this.#tabs.begin({ engine, instanceId, welcome: { kind: 'welcome', portVersion, build, instanceId, host } })
      this.#say({ kind: 'here', portVersion, build })
      ending = await Promise.race([failed, stopped])
    } catch (thrown) {
      ending = { kind: 'failed', error: toPocketError(thrown) }
    }
    const { kind, error } = ending
    if (kind === 'failed') log.error('engine.failed', { instanceId, code: error.code, message: error.message })
    else log.info('engine.ends', { instanceId, ending: kind })
    const isOver = kind === 'failed' && this.#fails(startedMs)
    const told = isOver ? error : lostBy(error)
    // Answers to what was committed go out before the farewell.
    await this.#closed(engine?.close(told))
    this.#tabs.end(told, isOver)
    await this.#closed(stores?.close())
    // Others of this build step behind the one who asked: they heard it too, and must not get the lock before they act.
    if (kind === 'replaced') await this.#within(stepBehindMs, new Promise<void>(() => {}))
    await holding.then((letGo) => letGo(), () => {})
    return ending
  }

  /** Throws TIMEOUT when it takes too long; what comes after that is closed. */
  async #opened<T>(opening: Promise<T>, close: (opened: T) => Promise<void>): Promise<T> {
    const opened = await this.#within(openMsMax, opening)
    if (opened !== late) return opened
    opening.then(close).catch(() => {})
    throw new PocketError('TIMEOUT', 'the engine or its stores did not open in time')
  }

  async #closed(closing: Promise<void> | undefined): Promise<void> {
    try {
      if (closing !== undefined) await this.#within(closeMsMax, closing)
    } catch (thrown) {
      this.#deps.log.error('engine.close-failed', { message: toPocketError(thrown).message })
    }
  }

  async #within<T>(boundMs: number, work: Promise<T>): Promise<T | typeof late> {
    const { promise: over, resolve } = createDeferred<typeof late>()
    const cancel = this.#deps.clock.setTimer(boundMs, () => resolve(late))
    try {
      return await Promise.race([work, over])
    } finally {
      cancel()
    }
  }
}

const late = Symbol('late')

/** Who of another build comes later is newer, unless its port is older. */
function isNewer(asking: MakeRoom, build: string): boolean {
  return asking.portVersion > portVersion || (asking.portVersion === portVersion && asking.build !== build)
}

/** Resolves when it is held; the function given lets go of it. */
async function holdLock(locks: LockManager | undefined, lockName: string): Promise<() => void> {
  const { promise: over, resolve: letGo } = createDeferred<void>()
  if (locks === undefined) return letGo
  await new Promise<void>((resolve, reject) => {
    // A thief of this lock tells others that this life is over (watchdog.ts); there is nothing to do about it here.
    locks.request(lockName, () => {
      resolve()
      return over
    }).catch(reject)
  })
  return letGo
}

function lostBy(error: PocketError): PocketError {
  return error.code === 'ENGINE_LOST' ? error : new PocketError(
    'ENGINE_LOST', `the engine ended: ${error.message}`, { cause: error },
  )
}

function replacedBy(build: string): PocketError {
  return new PocketError('ENGINE_REPLACED', `build ${build} of another version runs the engine; reload the page`)
}

function withoutLocks(): PocketError {
  return new PocketError(
    'STORE_FAILED', 'this page has no Web Locks (insecure context?): nothing is kept, and no other tab shares the engine',
  )
}

function createDeferred<T>(): { readonly promise: Promise<T>; resolve(value: T): void } {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((taken) => {
    resolve = taken
  })
  return { promise, resolve }
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
