// One tab in the engine: hears what its page says, lets core's clients do it, and gives back what the page held when it
// stands still or is gone. It has a client of its own for device topics, so that leaving is one call; the connection to
// the relay is shared with all tabs.
//
//   running ──'frozen', or no answer to pings──> frozen ──'running', or an answer──> running      gone(): over

import { expose } from 'comlink'
import type { Admin, DelayedInfo, Message, ReplyOptions, RequestOptions } from '../../core/client/api.ts'
import { createHostClient } from '../../core/client/client.ts'
import { bytes } from '../../core/client/codec.ts'
import type { HostClient } from '../../core/client/host-client.ts'
import { PocketError } from '../../core/errors.ts'
import type { CancelTimer, Clock } from '../../core/ports/clock.ts'
import type { Log } from '../../core/ports/log.ts'
import type { Random } from '../../core/ports/random.ts'
import type { Dialler } from '../../core/ports/transport.ts'
import { endpointOf, type EnginePort, isPortMessage } from '../port/engine-port.ts'
import { errorToWire, outcomeOf, unwrap } from '../port/errors.ts'
import type {
  AdminAnswer, EngineStatus, FromEngine, FromPage, Home, Outcome, PortReply, RequestSpec, TabApi, TabSettings,
} from '../port/port-protocol.ts'
import { packMessages } from './packing.ts'
import type { RelayLink } from './relay-link.ts'
import { TabConsumers } from './tab-consumers.ts'
import type { TabLine } from './tab-line.ts'
import { TabProducers } from './tab-producers.ts'
import { type SharedGroups, TabTransactions } from './tab-transactions.ts'

/** A page with messages in hand is asked so often whether it is there. */
const pingMs = 5_000

export interface TabSessionDeps {
  readonly port: EnginePort
  readonly tabId: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** To the device's broker. */
  readonly dialler: Dialler
  readonly sharedGroups: SharedGroups
  readonly status: () => EngineStatus
  /** The page says what it wants. Throws BAD_ARGUMENT where that can't be. */
  readonly configured: (settings: TabSettings) => Promise<void>
  /** Throws BAD_ARGUMENT where no relay was named. */
  readonly relay: () => RelayLink
  readonly nudged: () => void
}

export class TabSession {
  readonly tabId: string
  readonly #deps: TabSessionDeps
  readonly #client: HostClient
  readonly #producers: TabProducers
  readonly #consumers: TabConsumers
  readonly #transactions: TabTransactions
  readonly #stopListening: () => void
  readonly #tokens = new Map<number, (outcome: Outcome<string>) => void>()
  #tokenNumber = 0
  #settings: TabSettings | undefined
  /** What came before the page said what it wants: it needs the relay that is named by that. */
  #early: FromPage[] | undefined = []
  #configured: () => void = () => {}
  readonly #isConfigured = new Promise<void>((resolve) => {
    this.#configured = resolve
  })
  #isFrozen = false
  #isOver = false
  #pingNumber = 0
  #pongNumber = 0
  #cancelPing: CancelTimer

  constructor(deps: TabSessionDeps) {
    const { port, tabId, clock, random, log, dialler } = deps
    this.#deps = deps
    this.tabId = tabId
    this.#client = createHostClient({ dialler, clock, random, log }, { name: `tab ${tabId}` })
    const line: TabLine = {
      clock,
      post: (message, transfer) => this.#post(message, transfer),
      client: (home) => (home === 'device' ? this.#client : deps.relay().client),
      relay: deps.relay,
      report: (error) => this.report(error),
    }
    this.#producers = new TabProducers(line)
    this.#consumers = new TabConsumers(line)
    this.#transactions = new TabTransactions(line, deps.sharedGroups)
    this.#client.on('gap', (gap) => this.#consumers.gap(gap))
    this.#client.on('error', (error) => this.report(error))
    this.#stopListening = port.listen((message) => {
      if (isPortMessage(message)) this.#hear(message as FromPage)
    })
    expose(this.#api(), endpointOf(port))
    this.#cancelPing = clock.setTimer(pingMs, this.#ping)
  }

  /** Whether the page can be asked for tokens. */
  get hasAuth(): boolean {
    return this.#settings?.hasAuth === true && !this.#isFrozen
  }

  get settings(): TabSettings | undefined {
    return this.#settings
  }

  report(error: PocketError): void {
    this.#post({ kind: 'error', error: errorToWire(error) })
  }

  tell(message: FromEngine): void {
    this.#post(message)
  }

  gap(gap: Parameters<TabConsumers['gap']>[0]): void {
    this.#consumers.gap(gap)
  }

  /** A token of the page. Rejects with what the page throws, or CLOSED when it is gone. */
  async token(reason: 'connect' | 'reconnect', signal: AbortSignal): Promise<string> {
    const request = ++this.#tokenNumber
    const outcome = await new Promise<Outcome<string>>((resolve) => {
      const settle = (given: Outcome<string>): void => {
        this.#tokens.delete(request)
        resolve(given)
      }
      this.#tokens.set(request, settle)
      const gone = () => settle({ error: { code: 'ABORTED', message: 'the token is not needed any more' } })
      signal.addEventListener('abort', gone, { once: true })
      this.#post({ kind: 'token', request, reason })
    })
    return unwrap(outcome)
  }

  /** The tab is gone, or its engine ends: what it held goes back at once; what it sent goes on its way. */
  async close(): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelPing()
    this.#stopListening()
    for (const settle of [...this.#tokens.values()]) settle({ error: { code: 'CLOSED', message: 'the tab is gone' } })
    await Promise.all([this.#consumers.closeAll(), this.#transactions.closeAll()])
    await this.#client.close()
  }

  #post(message: FromEngine, transfer?: Transferable[]): void {
    if (!this.#isOver) this.#deps.port.post(message, transfer)
  }

  // ── what flows ────────────────────────────────────────────────────────────────────────────────────────────────

  #hear(message: FromPage): void {
    if (this.#early !== undefined) return void this.#early.push(message)
    switch (message.kind) {
      case 'producer':
        return this.#producers.open(message)
      case 'send':
        return this.#producers.send(message)
      case 'credit':
        return this.#consumers.credit(message.consumer, message.count)
      case 'settle':
        return this.#consumers.settle(message)
      case 'pace':
        return message.pace === 'frozen' ? this.#freeze() : this.#thaw()
      case 'pong':
        this.#pongNumber = Math.max(this.#pongNumber, message.number)
        return this.#thaw()
      case 'ping':
        return this.#post({ kind: 'pong', number: message.number })
      case 'nudge':
        return this.#deps.nudged()
      case 'hello':
        // The host's to answer.
    }
  }

  readonly #ping = (): void => {
    const { clock } = this.#deps
    this.#cancelPing = clock.setTimer(pingMs, this.#ping)
    if (this.#isFrozen) return
    // Two in a row without an answer: a page that is busy for so long holds up others all the same.
    if (this.#pingNumber - this.#pongNumber >= 2) return this.#freeze()
    if (this.#consumers.isHolding) this.#post({ kind: 'ping', number: ++this.#pingNumber })
  }

  #freeze(): void {
    if (this.#isFrozen) return
    this.#isFrozen = true
    this.#deps.log.debug('tab frozen', { tabId: this.tabId })
    this.#consumers.freeze()
    this.#transactions.freeze()
    // It is heard when it runs again, and answered then.
    this.#post({ kind: 'ping', number: ++this.#pingNumber })
  }

  #thaw(): void {
    if (!this.#isFrozen) return
    this.#isFrozen = false
    this.#pongNumber = this.#pingNumber
    this.#deps.log.debug('tab runs again', { tabId: this.tabId })
    this.#consumers.thaw()
  }

  // ── what is called ────────────────────────────────────────────────────────────────────────────────────────────

  #api(): TabApi {
    const consumers = this.#consumers
    const transactions = this.#transactions
    const given = <T>(work: () => T | Promise<T>) => outcomeOf(async () => {
      await this.#isConfigured
      try {
        // What the page said last may come behind its end: nobody is left to give back what it would get.
        if (this.#isOver) await new Promise<never>(() => {})
        return await work()
      } catch (thrown) {
        // What failed by the engine's end is not answered: the page hears of the end, and asks the next where it may.
        if (this.#isOver) await new Promise<never>(() => {})
        throw thrown
      }
    })
    const done = (work: () => unknown) => given(async () => {
      await work()
      return undefined
    })
    return {
      configure: (settings) => outcomeOf(async () => {
        this.#settings = settings
        await this.#deps.configured(settings)
        this.#begin()
        return this.#deps.status()
      }),
      consume: (id, spec) => given(() => consumers.consume(id, spec)),
      openReceiver: (id, spec) => done(() => consumers.openReceiver(id, spec)),
      receive: (id, options) => given(() => consumers.receive(id, options)),
      openPull: (id, spec) => done(() => consumers.openPull(id, spec)),
      pull: (id) => given(() => consumers.pull(id)),
      closeConsumer: (id) => done(() => consumers.close(id)),
      extend: (id, handle, lease) => done(() => consumers.extend(id, handle, lease)),
      reply: (
        id, handle, body, options: Omit<ReplyOptions, 'codec'>,
      ) => done(() => consumers.reply(id, handle, body, options)),
      request: (spec) => given(() => this.#request(spec)),
      recall: (home, topic, recallHandle) => done(() => this.#clientOf(home).admin.recall(topic, recallHandle)),
      closeProducer: (producer) => done(() => this.#producers.close(producer)),
      openTransactions: (home, options) => done(() => transactions.open(home, options)),
      closeTransactions: (home, producerGroup) => done(() => transactions.close(home, producerGroup)),
      begin: (home, producerGroup, transactionId) => done(() => transactions.begin(home, producerGroup, transactionId)),
      prepare: (home, transactionId, topic, body, options) =>
        given(() => transactions.prepare(home, transactionId, topic, body, options)),
      end: (_home, transactionId, how) => given(() => transactions.end(transactionId, how)),
      answerCheck: (request, verdict) => done(() => transactions.answered(request, verdict)),
      answerToken: (request, outcome) => done(() => this.#tokens.get(request)?.(outcome)),
      setOffline: (isOffline) => done(() => this.#deps.relay().setOffline(isOffline)),
      admin: (home, call, args) => given(() => this.#admin(home, call, args)),
    }
  }

  #begin(): void {
    const early = this.#early ?? []
    this.#early = undefined
    for (const message of early) this.#hear(message)
    this.#configured()
  }

  #clientOf(home: Home): HostClient {
    return home === 'device' ? this.#client : this.#deps.relay().client
  }

  async #request({ home, topic, body, options }: RequestSpec): Promise<PortReply> {
    const reply = await this.#clientOf(home).topic<Uint8Array>(topic, { codec: bytes }).request(
      body, options as RequestOptions<Uint8Array>,
    )
    const { tag, keys, properties } = reply
    return { body: reply.body.slice(), tag, keys, properties }
  }

  async #admin(home: Home, call: string, args: readonly unknown[]): Promise<AdminAnswer> {
    const admin = this.#clientOf(home).admin
    if (!Object.hasOwn(admin, call)) throw new PocketError('BAD_ARGUMENT', `admin has no call '${call}'`)
    const plain = await (admin[call as keyof Admin] as (...given: readonly unknown[]) => Promise<unknown>)(...args)
    switch (call as keyof Admin) {
      case 'findById':
        return packedAnswer(plain === undefined ? [] : [plain as Message<Uint8Array>], true)
      case 'findByKey':
      case 'findByTime':
      case 'deadLetters':
        return packedAnswer(plain as readonly Message<Uint8Array>[], false)
      case 'listDelayed': {
        const delayed = plain as readonly DelayedInfo[]
        const extras = delayed.map(({ recallHandle, topic, deliverMs }) => ({ recallHandle, topic, deliverMs }))
        return { ...packedAnswer(delayed.map(({ message }) => message), false), extras }
      }
      default:
        return { plain }
    }
  }
}

function packedAnswer(messages: readonly Message<Uint8Array>[], isSingle: boolean) {
  const { fields, bodies, sizes } = packMessages(messages, undefined)
  return { messages: { fields, bodies, sizes }, isSingle }
}
