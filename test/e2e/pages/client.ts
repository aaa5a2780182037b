// A page of an application: the real client, told by the test what to send and to consume. All it sends and sees goes into
// its journal; a message's value holds the name by which journals know it.

import {
  type Admin, type ConsumeOptions, type ConnectOptions, connect, type Home, type HostKind, PocketError, type SendOptions,
  type WebClient, type WebConsumeOptions, type WebMessage, type WebPushConsumer, type WebSendReceipt, type WebStatus,
  type WebTopic, type WebTransactionProducer,
} from '../../../web-client/index.ts'
import type { Found } from '../../checkers/history.ts'
import { beginJournal, type JournalEntry, note, readJournals } from './journal.ts'

export interface ClientPageOptions {
  /** The tab's name in journals; new for every page of a profile. */
  readonly tab: string
  /** Of the engine. */
  readonly name?: string
  readonly relay?: string
  readonly host?: 'auto' | HostKind
  /** Of the test's worker; without one the package's own worker is used. */
  readonly build?: string
  /** What `auth` gives, one after the other, the last for ever. */
  readonly tokens?: readonly string[]
}

export interface OutgoingOptions extends Omit<SendOptions, 'signal' | 'deliverAt' | 'properties'> {
  readonly properties?: Readonly<Record<string, string>>
  readonly until?: 'device' | 'relay'
  readonly home?: Home
  /** Bytes that the message has more. */
  readonly paddingBytes?: number
}

export interface Receipt extends Pick<WebSendReceipt, 'messageId' | 'queueId' | 'offset' | 'storedAt' | 'duplicate'> {
  readonly name: string
}

/** Sends on its own, turn after turn. */
export interface SendingSpec {
  readonly topic: string
  /** Messages are `<prefix>-0`, `<prefix>-1` and so on. */
  readonly prefix: string
  readonly count: number
  /** Default 5. */
  readonly countPerTurn?: number
  readonly options?: OutgoingOptions
}

export interface SendingState {
  readonly sentCount: number
  /** Names in the order of their receipts. */
  readonly acknowledged: readonly string[]
  /** Receipts of the relay. */
  readonly relayed: readonly string[]
  /** `name CODE`. */
  readonly failures: readonly string[]
}

export interface ConsumeSpec extends Omit<ConsumeOptions, 'signal' | 'positions' | 'from'> {
  readonly topic: string
  readonly from?: 'earliest' | 'latest'
  readonly home?: Home
  readonly echo?: boolean
  /** What happens to messages: `hold` keeps them until the test says otherwise. Default `ack`. */
  readonly handling?: 'ack' | 'hold' | 'retry'
  readonly retryAfterMs?: number
  readonly concurrency?: number
}

/** A message as the page had it. */
export interface Seen {
  readonly name: string
  readonly attempt: number
  readonly offset: number
  readonly tag: string | undefined
  readonly messageGroup: string | undefined
  readonly pending: boolean
  /** Its lease has ended while the page had it. */
  readonly isLost: boolean
}

export interface ClientPage {
  connect(options: ClientPageOptions): Promise<void>
  /** Begins to connect, and does not wait. */
  begin(options: ClientPageOptions): void
  status(): WebStatus
  /** `lost`, `running`, `link waiting`, `gap queue from-to`, `error CODE`, `token connect` in order. */
  events(): readonly string[]
  /** All in one turn. Rejects as the first of them that fails. */
  send(topic: string, names: readonly string[], options?: OutgoingOptions): Promise<readonly Receipt[]>
  startSending(spec: SendingSpec): void
  sending(prefix: string): SendingState
  /** The lengths of those lists. */
  sendingCounts(prefix: string): { readonly acknowledged: number; readonly relayed: number; readonly failures: number }
  /** Resolves when subscribed. */
  consume(id: string, spec: ConsumeSpec): Promise<void>
  seen(id: string): readonly Seen[]
  /** Different messages that a consumer has seen. */
  seenCount(id: string): number
  /** Settles all that a consumer with `hold` keeps; gives the codes of those that failed. */
  settleHeld(id: string, verb: 'ack' | 'retry'): Promise<readonly string[]>
  closeConsumer(id: string): Promise<void>
  request(topic: string, name: string): Promise<string>
  /** Consumes requests and answers each with its name and `!`. */
  answer(topic: string, group: string): Promise<void>
  /** All of the topic's first queue. */
  stored(topic: string, home?: Home): Promise<readonly string[]>
  admin(call: keyof Admin, args: readonly unknown[], home?: Home): Promise<unknown>
  deadLetters(group: string): Promise<readonly string[]>
  recall(topic: string, recallHandle: string): Promise<string>
  /** A delayed send; gives what takes it back. */
  sendDelayed(
    topic: string, name: string, delayMs: number,
  ): Promise<{ readonly deliverMs: number; readonly recallHandle: string }>
  /** Registers for checks, which are answered with the verdict. */
  openTransactions(producerGroup: string, verdict: 'commit' | 'rollback' | 'unknown', home?: Home): Promise<void>
  /** A transaction over messages of several topics, which ends as told, or is left open. */
  transact(
    producerGroup: string, messages: readonly (readonly [topic: string, name: string])[],
    end: 'commit' | 'rollback' | 'leave',
  ): Promise<string>
  /** Ids of transactions that this page was asked about. */
  checked(): readonly string[]
  journals(): readonly JournalEntry[]
  /** The worker of this page's engine ends without a word. */
  killEngine(): void
  close(): Promise<void>
}

interface Body {
  readonly name: string
  readonly padding?: string
}

interface Consuming {
  readonly group: string
  readonly consumer: WebPushConsumer<Body>
  readonly seen: (Omit<Seen, 'isLost'> & { isLost: boolean })[]
  readonly names: Set<string>
  held: WebMessage<Body>[]
}

interface Sending {
  sentCount: number
  acknowledged: string[]
  relayed: string[]
  failures: string[]
}

let client: WebClient | undefined
let tab = ''
let engineName = 'default'
const events: string[] = []
const topics = new Map<string, WebTopic<Body>>()
const consumings = new Map<string, Consuming>()
const sendings = new Map<string, Sending>()
const producers = new Map<string, WebTransactionProducer>()
const checked: string[] = []

function connected(): WebClient {
  if (client === undefined) throw new Error('the page is not connected')
  return client
}

/** One handle, and so one producer, for each topic. */
function topicOf(name: string, home?: Home): WebTopic<Body> {
  const key = `${home ?? ''}:${name}`
  const topic = topics.get(key) ?? connected().topic<Body>(name, home === undefined ? {} : { home })
  topics.set(key, topic)
  return topic
}

async function open({ tab: name, relay, build, tokens, ...rest }: ClientPageOptions): Promise<void> {
  tab = name
  engineName = rest.name ?? 'default'
  beginJournal(tab)
  let tokenNext = 0
  const auth: ConnectOptions['auth'] = ({ reason }) => {
    events.push(`token ${reason}`)
    return tokens?.[Math.min(tokenNext++, tokens.length - 1)] ?? ''
  }
  const options: ConnectOptions = {
    ...rest,
    clientName: tab,
    ...(build === undefined ? {} : { workerUrl: `/test/e2e/pages/client-worker.ts?build=${build}` }),
    ...(tokens === undefined ? {} : { auth }),
  }
  const opened = await (relay === undefined ? connect(options) : connect(relay, options))
  client = opened
  let { engine } = opened.getSnapshot()
  opened.on('status', (status) => {
    if (status.engine === engine) return
    engine = status.engine
    events.push(engine)
    if (engine === 'lost') note({ kind: 'disconnected', member: tab })
  })
  opened.on('link', ({ state }) => void events.push(`link ${state}`))
  opened.on('gap', ({ queueId, expected, next }) => void events.push(`gap ${queueId} ${expected.offset}-${next.offset}`))
  opened.on('error', ({ code }) => void events.push(`error ${code}`))
}

// ── sending ─────────────────────────────────────────────────────────────────────────────────────────────────────

async function sendOne(topic: string, name: string, options: OutgoingOptions = {}): Promise<WebSendReceipt> {
  const { paddingBytes, home, ...rest } = options
  const { messageGroup = tab } = rest
  note({ kind: 'sent', message: name, topic, messageGroup })
  try {
    const body = paddingBytes === undefined ? { name } : { name, padding: paddingOf(paddingBytes) }
    const receipt = await topicOf(topic, home).send(body, rest)
    note({ kind: 'acknowledged', message: name, found: foundOf(topic, receipt) })
    return receipt
  } catch (error) {
    // Whether it was stored is unknown where the engine ended for good, and known where it was refused.
    if (!['ENGINE_LOST', 'CLOSED'].includes(codeOf(error))) note({ kind: 'refused', message: name, code: codeOf(error) })
    throw error
  }
}

/** Nothing that a database could make smaller. */
function paddingOf(byteCount: number): string {
  const digits: string[] = []
  while (digits.length < byteCount / 8) digits.push(Math.random().toString(36).slice(2, 10).padEnd(8, '0'))
  return digits.join('')
}

function sendingOf(prefix: string): Sending {
  return sendings.get(prefix) ?? { sentCount: 0, acknowledged: [], relayed: [], failures: [] }
}

function foundOf(topic: string, { messageId, queueId, offset }: WebSendReceipt): Found | undefined {
  return queueId === undefined || offset === undefined ? undefined : { topic, messageId, queueId, offset }
}

async function runSending({ topic, prefix, count, countPerTurn = 5, options }: SendingSpec, sending: Sending): Promise<void> {
  while (sending.sentCount < count) {
    for (let inTurn = 0; inTurn < countPerTurn && sending.sentCount < count; inTurn++) {
      const name = `${prefix}-${sending.sentCount++}`
      sendOne(topic, name, options).then((receipt) => {
        sending.acknowledged.push(name)
        receipt.relayed?.then(
          () => sending.relayed.push(name),
          (error: unknown) => sending.failures.push(`${name} relay ${codeOf(error)}`),
        )
      }, (error: unknown) => sending.failures.push(`${name} ${codeOf(error)}`))
    }
    await new Promise<void>((resolve) => setTimeout(resolve))
  }
}

// ── consuming ───────────────────────────────────────────────────────────────────────────────────────────────────

async function consume(id: string, spec: ConsumeSpec): Promise<void> {
  const { topic, home, handling = 'ack', retryAfterMs, concurrency = 1, ...options } = spec
  const consumer = topicOf(topic, home).consume(options as WebConsumeOptions)
  const consuming: Consuming = { group: spec.group, consumer, seen: [], names: new Set(), held: [] }
  consumings.set(id, consuming)
  const { group } = spec
  const running = consumer.run(async (message) => {
    const { value: { name }, attempt, offset, tag, messageGroup, pending, queueId, messageId } = message
    const seen = { name, attempt, offset, tag, messageGroup, pending, isLost: false }
    consuming.seen.push(seen)
    consuming.names.add(name)
    if (pending) return
    const member = tab
    const delivery = { message: name, group, member, attempt }
    note({ kind: 'delivered', ...delivery, found: { topic, queueId, offset, messageId } })
    if (attempt === 0) return
    message.signal.addEventListener('abort', () => {
      seen.isLost = true
      note({ kind: 'lease-lost', ...delivery })
    })
    if (handling === 'hold') {
      consuming.held.push(message)
      // Keeps its place in the consumer until it is settled.
      await new Promise<void>((resolve) => releases.set(message, resolve))
      return
    }
    await settle(message, group, member, handling, retryAfterMs)
  }, { concurrency })
  running.catch((error: unknown) => events.push(`ended ${id} ${codeOf(error)}`))
  await consumer.subscribed
}

const releases = new WeakMap<WebMessage<Body>, () => void>()

/** Gives the code of what failed. */
async function settle(
  message: WebMessage<Body>, group: string, member: string, verb: 'ack' | 'retry', afterMs?: number,
): Promise<string | undefined> {
  const { value: { name }, attempt } = message
  try {
    if (verb === 'ack') {
      note({ kind: 'acking', message: name, group, member, attempt })
      await message.ack()
      note({ kind: 'consumed', message: name, group, member })
    } else {
      await message.retry(afterMs === undefined ? {} : { after: afterMs })
      note({ kind: 'retried', message: name, group, member })
    }
    return undefined
  } catch (error) {
    note({ kind: 'lease-lost', message: name, group, member, attempt })
    return codeOf(error)
  } finally {
    releases.get(message)?.()
  }
}

function consumingOf(id: string): Consuming {
  const consuming = consumings.get(id)
  if (consuming === undefined) throw new Error(`no consumer ${id}`)
  return consuming
}

function codeOf(error: unknown): string {
  return error instanceof PocketError ? error.code : String(error)
}

// ── the probe ───────────────────────────────────────────────────────────────────────────────────────────────────

const probe: ClientPage = {
  connect: open,
  begin(options) {
    open(options).catch((error: unknown) => events.push(`failed ${codeOf(error)}`))
  },
  // Errors among it can't leave the page as they are.
  status: () => JSON.parse(JSON.stringify(connected().getSnapshot())) as WebStatus,
  events: () => events,
  async send(topic, names, options) {
    const receipts = await Promise.all(names.map((name) => sendOne(topic, name, options)))
    return receipts.map(({ messageId, queueId, offset, storedAt, duplicate }, at) =>
      ({ name: names[at] as string, messageId, queueId, offset, storedAt, duplicate }))
  },
  startSending(spec) {
    const sending: Sending = { sentCount: 0, acknowledged: [], relayed: [], failures: [] }
    sendings.set(spec.prefix, sending)
    void runSending(spec, sending)
  },
  sending: sendingOf,
  sendingCounts(prefix) {
    const { acknowledged, relayed, failures } = sendingOf(prefix)
    return { acknowledged: acknowledged.length, relayed: relayed.length, failures: failures.length }
  },
  consume,
  seen: (id) => consumingOf(id).seen,
  seenCount: (id) => consumingOf(id).names.size,
  async settleHeld(id, verb) {
    const consuming = consumingOf(id)
    const { held, group } = consuming
    consuming.held = []
    const failures = await Promise.all(held.map((message) => settle(message, group, tab, verb)))
    return failures.filter((code) => code !== undefined)
  },
  closeConsumer: (id) => consumingOf(id).consumer.close(),
  async request(topic, name) {
    return (await topicOf(topic).request<string>({ name }, { replyCodec: textCodec })).value
  },
  async answer(topic, group) {
    const consumer = topicOf(topic).consume({ group })
    void consumer.run((message) => message.reply(`${message.value.name}!`, { codec: textCodec }))
    await consumer.subscribed
  },
  async stored(topic, home) {
    const names: string[] = []
    for await (const batch of topicOf(topic, home).pull({ queueId: 0, untilEnd: true })) {
      names.push(...batch.map(({ value }) => value.name))
    }
    return names
  },
  async admin(call, args, home) {
    const admin = home === undefined ? connected().admin : connected().adminOf(home)
    return (admin[call] as (...given: readonly unknown[]) => Promise<unknown>)(...args)
  },
  async deadLetters(group) {
    const messages = await connected().admin.deadLetters(group)
    return messages.map(({ body }) => (JSON.parse(new TextDecoder().decode(body)) as Body).name)
  },
  async recall(topic, recallHandle) {
    try {
      await topicOf(topic).recall(recallHandle)
      return 'recalled'
    } catch (error) {
      return codeOf(error)
    }
  },
  async sendDelayed(topic, name, delayMs) {
    const { deliverMs = 0, recallHandle = '' } = await sendOne(topic, name, { delay: delayMs })
    return { deliverMs, recallHandle }
  },
  async openTransactions(producerGroup, verdict, home) {
    const producer = connected().transactions({
      producerGroup,
      checkAfter: 200,
      ...(home === undefined ? {} : { home }),
      check: async ({ transactionId }) => {
        checked.push(transactionId)
        return verdict
      },
    })
    producers.set(producerGroup, producer)
    await producer.registered
  },
  async transact(producerGroup, messages, end) {
    const transaction = (producers.get(producerGroup) as WebTransactionProducer).begin()
    for (const [topic, name] of messages) await transaction.send(topicOf(topic), { name })
    if (end !== 'leave') await transaction[end]()
    return transaction.transactionId
  },
  checked: () => checked,
  journals: readJournals,
  killEngine: () => new BroadcastChannel(`die:${engineName}`).postMessage('die'),
  close: () => connected().close(),
}

const textCodec = {
  name: 'text',
  encode: (value: unknown) => new TextEncoder().encode(String(value)),
  decode: (body: Uint8Array) => new TextDecoder().decode(body),
}

Object.assign(window, { probe })
