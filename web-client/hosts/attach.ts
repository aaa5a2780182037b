// How a page finds the engine of its name, starts one where none runs, and hears of its end.
//
//   seeking ──welcome──> attached ──farewell, its lock is free, no answer──> seeking        close, leaving: nowhere
//
// The page has a line of its own to a host (own-line.ts) which runs the engine or waits for its lock; when another host
// has it, the page and that one talk over a channel. Each seeking is an attempt of its own number; hosts serve the latest.

import { PocketError } from '../../core/errors.ts'
import { type EnginePort, isPortMessage } from '../port/engine-port.ts'
import { wireToError } from '../port/errors.ts'
import { type HostKind, type Ping, portVersion, type Welcome } from '../port/port-protocol.ts'
import { randomId } from '../port/random-id.ts'
import { build } from './build.ts'
import { createHeardPort, type HeardPort, portOfChannel } from './heard-port.ts'
import {
  controlOf, type ControlMessage, type HostFarewell, type HostHello, type HostWelcome, instanceLockOf, lineOf, tabLockOf,
} from './host-protocol.ts'
import type { EngineHost } from './engine-host.ts'
import { hasHost, openOwnLine, type OwnLine } from './own-line.ts'
import { watchPage } from './page-lifecycle.ts'
import { createThief } from './thief.ts'

export interface AttachOptions {
  /** Names the engine and its database, one per origin and name. */
  readonly name: string
  /** `auto`: shared where the browser has it, else leader where it has workers, else inline. Without locks always inline. */
  readonly host: 'auto' | HostKind
  /** Makes the worker, where the bundler needs the application to say it. What it makes decides between shared and leader. */
  readonly worker?: ((workerName: string) => Worker | SharedWorker) | undefined
  /** Where the worker's file is, instead. */
  readonly workerUrl?: string | URL | undefined
  /** For tests. */
  readonly bounds?: Partial<AttachBounds> | undefined
  /** For tests: the host inside the page, otherwise loaded when it is needed. */
  readonly inline?: ((name: string) => Promise<EngineHost>) | undefined
}

export interface AttachBounds {
  /** For the worker to say anything at all. Then the next kind of host is tried. */
  readonly bootMs: number
  /** For the shared worker to welcome, before the page asks on the channel too. */
  readonly graceMs: number
  /** An engine that is silent so long is asked whether it is there; so long again without an answer, and it is wedged. */
  readonly silentMs: number
}

export interface AttachEvents {
  /** An engine has said welcome; everything goes over this port until `lost`. */
  attached(port: EnginePort, welcome: Welcome): void
  /** The engine is gone: what is unanswered will not be answered. Another `attached`, or `ended`, follows. */
  lost(error: PocketError): void
  /** There will be none: ENGINE_REPLACED, or it could not be started. Nothing follows. */
  ended(error: PocketError): void
}

export interface Attachment {
  readonly tabId: string
  /** Whether the engine runs in this tab: in its own worker, or in the page. */
  readonly isLeader: boolean
  /** The page leaves: the engine sees the tab go. Resolves when an engine that ran in this tab has ended in order. */
  close(): Promise<void>
}

export type Attach = (options: AttachOptions, events: AttachEvents) => Attachment

const defaultBounds: AttachBounds = { bootMs: 8_000, graceMs: 300, silentMs: 10_000 }
const fallbacks: Readonly<Record<HostKind, HostKind | undefined>> = { shared: 'leader', leader: 'inline', inline: undefined }
/** How long a worker that ends with its page may take for its last commit. */
const retireMsMax = 3_000
const farewellMsMax = 50
/** An engine that lived so long is not replaced in haste. */
const goodLifeMs = 5_000
const retryMsMax = 10_000

export const attach: Attach = (options, events) => new PageAttachment(options, events)

/** The engine this page is with. */
interface Session {
  readonly instanceId: string
  readonly heard: HeardPort
  readonly isOwn: boolean
  readonly channel: BroadcastChannel | undefined
  readonly over: AbortController
  readonly sinceMs: number
  post(message: unknown): void
}

class PageAttachment implements Attachment {
  readonly tabId = randomId()
  readonly #options: AttachOptions
  readonly #bounds: AttachBounds
  readonly #events: AttachEvents
  readonly #locks: LockManager | undefined = navigator.locks
  readonly #steal: () => Promise<boolean>
  #unwatch = () => {}
  #host: HostKind
  #own: OwnLine | undefined
  #session: Session | undefined
  #control: BroadcastChannel | undefined
  #tabHeld: Promise<void> | undefined
  #letGoOfTab = () => {}
  /** Part of the shared worker's name: the life of the engine that died in the one before. */
  #generation = ''
  #attempt = 0
  #failureCount = 0
  #wasAttached = false
  #isOver = false
  /** Something was heard of the engine since the last look at it. */
  #isHeard = false
  /** Something was heard on the own line since the last hello there. */
  #isOwnHeard = false
  #ownIsWaiting = () => {}
  /** Of the attempt: ends with it. */
  #timers: ReturnType<typeof setTimeout>[] = []

  constructor(options: AttachOptions, events: AttachEvents) {
    this.#options = options
    this.#events = events
    this.#bounds = { ...defaultBounds, ...options.bounds }
    this.#steal = createThief(options.name, this.#locks)
    this.#host = this.#firstHost()
    // The caller has the attachment before it hears of anything, and hears of the page's end before its line is cut.
    void Promise.resolve().then(() => this.#start())
  }

  get isLeader(): boolean {
    return this.#session?.isOwn === true && this.#own?.host !== 'shared'
  }

  async close(): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    this.#unwatch()
    await this.#leave()
  }

  #start(): void {
    if (this.#isOver) return
    this.#unwatch = watchPage({
      leaving: (isKept) => {
        if (isKept) void this.#leave()
      },
      restored: () => void this.#seek(),
      frozen: () => this.#session?.post({ kind: 'pace', pace: 'frozen' }),
      running: () => this.#session?.post({ kind: 'pace', pace: 'running' }),
      awake: () => this.#session?.post({ kind: 'nudge', online: navigator.onLine }),
    })
    void this.#seek()
  }

  #firstHost(): HostKind {
    const { host } = this.#options
    if (this.#locks === undefined) return 'inline'
    if (host !== 'auto') return host
    return (['shared', 'leader'] as const).find(hasHost) ?? 'inline'
  }

  // ── seeking ─────────────────────────────────────────────────────────────────────────────────────────────────────

  async #seek(): Promise<void> {
    if (this.#isOver) return
    const attempt = ++this.#attempt
    this.#stopSeeking()
    this.#openOwn()
    // Before the hello, or the engine would take the tab for gone.
    await this.#holdTab()
    if (attempt !== this.#attempt || this.#isOver) return
    const { name } = this.#options
    const hello: HostHello = { kind: 'hello', name, portVersion, build, tabId: this.tabId, attempt }
    if (this.#locks !== undefined) this.#openControl(hello)
    if (this.#own !== undefined) this.#sayHello(this.#own, hello)
    this.#later(this.#bounds.silentMs, () => void this.#suspect())
  }

  #sayHello(own: OwnLine, hello: HostHello): void {
    const isKnown = this.#isOwnHeard
    own.port.post(hello)
    this.#isOwnHeard = false
    this.#later(this.#bounds.bootMs, () => {
      if (!this.#isOwnHeard) this.#fallBack(own, new PocketError('ENGINE_LOST', `the ${own.host} worker does not answer`))
    })
    // A new worker of this tab alone does not run the engine already. Others say so themselves if they don't; at first a
    // shared one is on its way to it, or has another build make room.
    const askOthers = () => this.#control?.postMessage(hello)
    this.#ownIsWaiting = hello.attempt === 1 ? () => {} : askOthers
    if (own.host === 'shared' || isKnown) this.#later(this.#bounds.graceMs, askOthers)
    else askOthers()
  }

  /** A worker that died, or hangs, may still be the one that its name gives; all its tabs go on to the same next one. */
  get #workerName(): string {
    return `pocketmq:${this.#options.name}${this.#generation}`
  }

  #openOwn(): void {
    while (this.#own === undefined && !this.#isOver) {
      try {
        const own = openOwnLine({ ...this.#options, host: this.#host, workerName: this.#workerName }, (error) => {
          if (this.#isOwnHeard) return false
          this.#fallBack(own, error)
          return true
        })
        own.port.listen((message) => {
          if (this.#own === own) this.#heardOwn(message)
        })
        this.#own = own
        this.#host = own.host
        this.#isOwnHeard = false
      } catch (thrown) {
        const error = new PocketError('ENGINE_LOST', `the ${this.#host} host can't be started`, { cause: thrown })
        if (!this.#takeNextHost(error)) return
      }
    }
  }

  /** The own line is of no use: another kind of host, with a new hello. */
  #fallBack(own: OwnLine, error: PocketError): void {
    if (this.#own !== own) return
    this.#dropOwn()
    // Served by another tab's host, it only makes no engine of its own for now.
    if (this.#session === undefined && this.#takeNextHost(error)) void this.#seek()
  }

  #takeNextHost(error: PocketError): boolean {
    const { host, worker } = this.#options
    const next = worker === undefined ? fallbacks[this.#host] : this.#host === 'inline' ? undefined : 'inline'
    // Who asked for one kind and had it is better served by another than by none.
    if (next === undefined || (host !== 'auto' && !this.#wasAttached)) {
      this.#end(error)
      return false
    }
    this.#host = hasHost(next) ? next : 'inline'
    return true
  }

  #openControl(hello: HostHello): void {
    const control = new BroadcastChannel(controlOf(this.#options.name))
    this.#control = control
    control.onmessage = ({ data }: MessageEvent<ControlMessage>) => {
      if (data.kind === 'here') control.postMessage(hello)
      else if ('tabId' in data && data.tabId === this.tabId && data.kind !== 'hello') this.#answered(data, false)
    }
  }

  /** Takes the tab's lock, until the page leaves. Resolves when it is held. */
  #holdTab(): Promise<void> {
    this.#tabHeld ??= new Promise((resolve) => {
      const left = new Promise<void>((letGo) => {
        this.#letGoOfTab = letGo
      })
      this.#locks?.request(tabLockOf(this.#options.name, this.tabId), () => {
        resolve()
        return left
      })
      if (this.#locks === undefined) resolve()
    })
    return this.#tabHeld
  }

  #stopSeeking(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers = []
    this.#control?.close()
    this.#control = undefined
  }

  #later(delayMs: number, run: () => void): void {
    this.#timers.push(setTimeout(run, delayMs))
  }

  // ── hearing ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #heardOwn(message: unknown): void {
    this.#isHeard = true
    this.#isOwnHeard = true
    if (isPortMessage(message)) {
      if (message.kind === 'welcome' || message.kind === 'farewell') return this.#answered(message as HostWelcome, true)
      if (message.kind === 'waiting') return this.#ownIsWaiting()
      if (message.kind === 'pong') return
    }
    if (this.#session?.isOwn === true) this.#session.heard.hear(message)
  }

  #answered(answer: HostWelcome | HostFarewell, isOwn: boolean): void {
    if (answer.attempt !== this.#attempt || this.#isOver) return
    if (answer.kind === 'farewell') {
      if (this.#session !== undefined && this.#session.isOwn !== isOwn) return
      // An older engine on the channel makes room for this page's own.
      if (!isOwn && answer.portVersion < portVersion) return
      const error = wireToError(answer.error)
      if (error.code === 'ENGINE_LOST') this.#lose(error)
      else this.#end(error)
    } else if (this.#session === undefined) this.#take(answer, isOwn)
  }

  #take(welcome: HostWelcome, isOwn: boolean): void {
    const { name } = this.#options
    const { instanceId } = welcome
    this.#stopSeeking()
    const channel = isOwn ? undefined : new BroadcastChannel(lineOf(name, instanceId, this.tabId))
    const line = channel === undefined ? (this.#own as OwnLine).port : portOfChannel(channel)
    const heard = createHeardPort((message, transfer) => line.post(message, transfer))
    const session: Session = {
      instanceId, heard, isOwn, channel,
      over: new AbortController(),
      sinceMs: Date.now(),
      post: (message) => heard.port.post(message),
    }
    this.#session = session
    this.#wasAttached = true
    if (channel !== undefined) {
      line.listen((message) => {
        this.#isHeard = true
        if (isPortMessage(message)) {
          if (message.kind === 'farewell') return this.#answered(message as unknown as HostFarewell, false)
          if (message.kind === 'pong') return
        }
        heard.hear(message)
      })
      line.post({ kind: 'open' })
    }
    this.#locks?.request(instanceLockOf(name, instanceId), { mode: 'shared', signal: session.over.signal }, () => {}).then(
      () => {
        // A farewell may be on its way: locks and messages travel apart. Without one, what the engine ran in is dead too.
        setTimeout(() => {
          if (this.#session !== session) return
          if (isOwn) this.#abandonOwn(session)
          this.#lose(new PocketError('ENGINE_LOST', 'the engine died'))
        }, farewellMsMax)
      },
      () => {},
    )
    this.#look(session)
    this.#events.attached(heard.port, welcome)
  }

  // ── losing ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #lose(error: PocketError): void {
    const session = this.#session
    this.#quit()
    const livedMs = session === undefined ? 0 : Date.now() - session.sinceMs
    this.#failureCount = livedMs >= goodLifeMs ? 0 : this.#failureCount + 1
    // Before any retry; the hello that is under way is answered no more.
    this.#attempt += 1
    this.#stopSeeking()
    if (session !== undefined) this.#events.lost(error)
    if (this.#isOver) return
    const delayMs = this.#failureCount < 2 ? 0 : Math.min(50 * 2 ** this.#failureCount, retryMsMax)
    this.#later(delayMs, () => void this.#seek())
  }

  #quit(): void {
    const session = this.#session
    this.#session = undefined
    session?.over.abort()
    session?.heard.cut()
    session?.channel?.close()
  }

  #end(error: PocketError): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#unwatch()
    void this.#leave()
    this.#events.ended(error)
  }

  /** The worker died with its engine, or hangs. */
  #abandonOwn({ instanceId }: Session): void {
    this.#generation = `:${instanceId}`
    this.#dropOwn()
  }

  #dropOwn(): void {
    this.#own?.end()
    this.#own = undefined
  }

  /** Lets go of everything at once, and posts the last: in `pagehide` there is no later. */
  #leave(): Promise<void> {
    const own = this.#own
    const wasAttached = this.#session !== undefined
    this.#attempt += 1
    this.#stopSeeking()
    this.#quit()
    this.#letGoOfTab()
    this.#tabHeld = undefined
    this.#own = undefined
    if (wasAttached && !this.#isOver) this.#events.lost(new PocketError('ENGINE_LOST', 'the page was laid away'))
    if (own === undefined) return Promise.resolve()
    if (own.host === 'shared') {
      own.end()
      return Promise.resolve()
    }
    own.port.post({ kind: 'retire' })
    return new Promise((resolve) => {
      const stop = () => {
        clearTimeout(timer)
        unlisten()
        own.end()
        resolve()
      }
      const unlisten = own.port.listen((message) => {
        if (isPortMessage(message) && message.kind === 'retired') stop()
      })
      const timer = setTimeout(stop, retireMsMax)
    })
  }

  // ── a wedged engine ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Looks at the engine now and then: silent once, it is asked; silent again, it is under suspicion. */
  #look(session: Session, wasAsked = false): void {
    this.#isHeard = false
    if (this.#locks === undefined) return
    this.#later(this.#bounds.silentMs, () => {
      if (this.#session !== session) return
      if (this.#isHeard) return this.#look(session)
      if (wasAsked) return void this.#suspect()
      session.post({ kind: 'ping', number: this.#attempt })
      this.#look(session, true)
    })
  }

  /** The engine did not answer, or none said welcome: asks who holds the lock, and takes it from one who is silent. */
  async #suspect(): Promise<void> {
    if (this.#locks === undefined) return
    const attempt = this.#attempt
    const isThere = await this.#askHolder()
    if (attempt !== this.#attempt || this.#isOver) return
    if (!isThere && await this.#steal() && attempt === this.#attempt) {
      // The engine's death was seen already, when its lock was taken, unless there was none with this page.
      if (this.#session?.isOwn === true) this.#abandonOwn(this.#session)
      return this.#lose(new PocketError('ENGINE_LOST', 'the engine hangs'))
    }
    if (this.#session === undefined) this.#later(this.#bounds.silentMs, () => void this.#suspect())
    else this.#look(this.#session)
  }

  #askHolder(): Promise<boolean> {
    return new Promise((resolve) => {
      const control = new BroadcastChannel(controlOf(this.#options.name))
      const ping: Ping = { kind: 'ping', number: Math.random() }
      const answer = (isThere: boolean) => {
        clearTimeout(timer)
        control.close()
        resolve(isThere)
      }
      const timer = setTimeout(answer, this.#bounds.silentMs, false)
      control.onmessage = ({ data }: MessageEvent<ControlMessage>) => {
        if (data.kind === 'pong' && data.number === ping.number) answer(true)
      }
      control.postMessage(ping)
    })
  }
}
