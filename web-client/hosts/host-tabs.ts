// The tabs of a host: who said hello over which line, who is served by the engine's present life, who is gone. A tab waits,
// is served, and is forgotten at its farewell: for the next life it says hello again.

import type { PocketError } from '../../core/errors.ts'
import type { EngineLife, EngineTab } from '../engine/engine.ts'
import type { EnginePort } from '../port/engine-port.ts'
import { errorToWire } from '../port/errors.ts'
import { portVersion } from '../port/port-protocol.ts'
import { createHeardPort, type HeardPort, portOfChannel } from './heard-port.ts'
import { lineOf, tabLockOf, type Answer, type HostFarewell, type HostHello, type HostWelcome } from './host-protocol.ts'

/** The engine's present life, as tabs see it. */
export interface ServedLife {
  readonly engine: EngineLife
  readonly instanceId: string
  /** Goes on top of the answer. */
  readonly welcome: Omit<HostWelcome, keyof Answer | 'status'>
}

export interface HostTabsDeps {
  readonly name: string
  readonly locks: LockManager | undefined
  readonly openChannel: (name: string) => BroadcastChannel
  /** Says it on the control channel. */
  readonly tell: (message: HostWelcome | HostFarewell) => void
  /** The last tab of those that wait is gone. */
  readonly abandoned: () => void
}

interface Place {
  readonly hello: HostHello
  readonly line: EnginePort
  /** Over a channel. */
  readonly isFar: boolean
  readonly heard: HeardPort
  tab: EngineTab | undefined
  readonly left: AbortController
}

export class HostTabs {
  readonly #deps: HostTabsDeps
  readonly #placesByTabId = new Map<string, Place>()
  #life: ServedLife | undefined

  constructor(deps: HostTabsDeps) {
    this.#deps = deps
  }

  get isServing(): boolean {
    return this.#life !== undefined
  }

  get isEmpty(): boolean {
    return this.#placesByTabId.size === 0
  }

  /** A hello over a line of its own. Whatever the line brings next is for the function given. */
  greet(hello: HostHello, line: EnginePort): (message: unknown) => void {
    const former = this.#placesByTabId.get(hello.tabId)
    if (former !== undefined) {
      if (former.hello.attempt >= hello.attempt) return () => {}
      this.#forget(former)
    }
    const heard = createHeardPort((message, transfer) => line.post(message, transfer))
    const place = this.#enter({ hello, line, isFar: false, heard })
    if (this.#life !== undefined) this.#serve(place, this.#life)
    return (message) => {
      if (place.tab !== undefined) place.heard.hear(message)
    }
  }

  /** A hello on the control channel. Nothing but an engine that runs answers. */
  greetFar(hello: HostHello): void {
    const life = this.#life
    if (life === undefined) return
    const former = this.#placesByTabId.get(hello.tabId)
    if (former !== undefined) {
      if (former.hello.attempt >= hello.attempt) return
      this.#forget(former)
    }
    const channel = this.#deps.openChannel(lineOf(this.#deps.name, life.instanceId, hello.tabId))
    const line = portOfChannel(channel)
    const place = this.#enter({ hello, line, isFar: true, heard: createHeardPort((message) => line.post(message)) })
    place.left.signal.addEventListener('abort', () => channel.close())
    line.listen((message) => {
      const { kind, number } = message as { kind?: string; number?: number }
      if (kind === 'ping') line.post({ kind: 'pong', number })
      else if (place.tab !== undefined) place.heard.hear(message)
      else if (kind === 'open') place.tab = life.engine.accept(place.heard.port, hello.tabId)
    })
    this.#deps.tell(welcomeTo(hello, life))
  }

  /** The engine lives: those that wait are served. */
  begin(life: ServedLife): void {
    this.#life = life
    for (const place of [...this.#placesByTabId.values()]) this.#serve(place, life)
  }

  /** The life is over; its tabs are told why. Those that only waited go on waiting, unless there is nothing to wait for. */
  end(error: PocketError, isLast: boolean): void {
    this.#life = undefined
    for (const place of [...this.#placesByTabId.values()]) {
      if (!isLast && place.tab === undefined && !place.isFar) continue
      place.heard.cut()
      place.line.post(farewellTo(place.hello, error))
      this.#forget(place)
    }
  }

  #enter(fields: Omit<Place, 'tab' | 'left'>): Place {
    const place: Place = { ...fields, tab: undefined, left: new AbortController() }
    const { hello } = place
    this.#placesByTabId.set(hello.tabId, place)
    // Granted when the tab has let go of it: closed, crashed, or laid away by the browser.
    this.#deps.locks?.request(
      tabLockOf(this.#deps.name, hello.tabId), { mode: 'shared', signal: place.left.signal }, () => {},
    ).then(
      () => {
        this.#forget(place)
        if (this.isEmpty) this.#deps.abandoned()
      },
      () => {},
    )
    return place
  }

  #serve(place: Place, life: ServedLife): void {
    place.line.post(welcomeTo(place.hello, life))
    place.tab = life.engine.accept(place.heard.port, place.hello.tabId)
  }

  #forget(place: Place): void {
    place.left.abort()
    place.heard.cut()
    if (this.#placesByTabId.get(place.hello.tabId) === place) this.#placesByTabId.delete(place.hello.tabId)
    const { tab } = place
    place.tab = undefined
    tab?.gone()
  }
}

function welcomeTo(hello: HostHello, { engine, welcome }: ServedLife): HostWelcome {
  return { ...welcome, ...answerTo(hello), status: engine.statusWithOneMore() }
}

export function farewellTo(hello: HostHello, error: PocketError): HostFarewell {
  return { kind: 'farewell', portVersion, error: errorToWire(error), ...answerTo(hello) }
}

function answerTo({ tabId, attempt }: HostHello): Answer {
  return { tabId, attempt }
}
