// The page that measures: sends, reads and waits as an application does, over the package as it is published, and over a
// bare worker. The benchmark calls it by `window.probe`.

import { bytes, connect, type WebClient, type WebTopic } from '../../../web-client/index.ts'
import { type BareRequest, inTurn, latenciesOf, type Latencies, noise } from './bare-protocol.ts'

export interface SendSpec {
  readonly topic: string
  readonly count: number
  /** Sent before, and not measured. */
  readonly warmupCount: number
  readonly inFlightCount: number
  readonly bodyBytes: number
}

export interface TrafficSpec {
  readonly topic: string
  readonly count: number
  readonly inFlightCount: number
  readonly bodyBytes: number
}

export interface BenchPage {
  connect(name: string, relayUrl?: string): Promise<void>
  close(): Promise<void>
  /** As many sends as told wait for their receipts at any time. */
  sendFlow(spec: SendSpec): Promise<Latencies>
  /** Each send when the one before has its receipt. */
  sendLone(topic: string, count: number, bodyBytes: number): Promise<Latencies>
  /** Notes when messages of the topic come in; resolves when subscribed. Answers `clockAhead`. */
  listen(topic: string): Promise<void>
  /** How far the listening tab's clock is ahead of this one's, ms. */
  clockAhead(): Promise<number>
  /** Sends with pauses between; each message holds the time, as the listener's clock has it. */
  sendSpaced(topic: string, count: number, gapMs: number, aheadMs: number): Promise<void>
  /** Once so many have come: how long each was on its way. */
  heard(count: number): Promise<Latencies>
  /** From `connect` to having seen so many of the topic's messages, from the first on. */
  catchUp(name: string, relayUrl: string, topic: string, count: number): Promise<number>
  /** From `connect` to the first message, ms. */
  firstDelivery(name: string, topic: string): Promise<number>
  /** Consumes and acknowledges from now on. */
  startConsuming(topic: string, group: string): Promise<void>
  /** Sends, and resolves when all is stored, consumed and acknowledged. */
  traffic(spec: TrafficSpec): Promise<void>
  subscribe(topic: string, count: number): Promise<void>
  bareOpen(database: string): Promise<void>
  bareEcho(count: number): Promise<Latencies>
  barePut(count: number, bodyBytes: number): Promise<Latencies>
  bareAppend(batchCount: number, batchBytes: number): Promise<Latencies>
  bareListen(): Promise<void>
  bareSendSpaced(count: number, gapMs: number, aheadMs: number): Promise<void>
  bareFirst(database: string): Promise<number>
}

let client: WebClient | undefined
const tookMs: number[] = []
let consumedCount = 0
let wake: () => void = () => {}
const topics = new Map<string, WebTopic<Uint8Array>>()

function topicOf(name: string): WebTopic<Uint8Array> {
  if (client === undefined) throw new Error('the page is not connected')
  const topic = topics.get(name) ?? client.topic(name, { codec: bytes })
  topics.set(name, topic)
  return topic
}

const clockNow = (): number => performance.timeOrigin + performance.now()

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise<void>((resolve) => (wake = resolve))
}

async function spaced(count: number, gapMs: number, send: (at: number) => void): Promise<void> {
  for (let at = 0; at < count; at++) {
    send(at)
    await new Promise((resolve) => setTimeout(resolve, gapMs))
  }
}

/** A body of 100 bytes that begins with the time. */
function stamped(aheadMs: number): Uint8Array {
  const body = noise(100)
  new DataView(body.buffer).setFloat64(0, clockNow() + aheadMs)
  return body
}

function arrived(body: Uint8Array): void {
  tookMs.push(clockNow() - new DataView(body.buffer, body.byteOffset).getFloat64(0))
  wake()
}

async function flow(topic: WebTopic<Uint8Array>, count: number, inFlightCount: number, bodyBytes: number): Promise<Latencies> {
  const body = noise(bodyBytes)
  const sampled = new Float64Array(count)
  let sentCount = 0
  const lane = async (): Promise<void> => {
    while (sentCount < count) {
      const at = sentCount++
      const beganMs = performance.now()
      await topic.send(body)
      sampled[at] = performance.now() - beganMs
    }
  }
  const startedMs = performance.now()
  await Promise.all(Array.from({ length: inFlightCount }, lane))
  return latenciesOf(sampled, performance.now() - startedMs)
}

// ── the bare worker ─────────────────────────────────────────────────────────────────────────────────────────────

let bare: MessagePort | undefined

function barePort(): MessagePort {
  if (bare === undefined) {
    bare = new SharedWorker(new URL('./bare-worker.ts', import.meta.url), { type: 'module', name: 'bare' }).port
    bare.start()
  }
  return bare
}

function ask<T>(request: BareRequest): Promise<T> {
  const port = barePort()
  return new Promise((resolve) => {
    port.onmessage = ({ data }) => resolve(data as T)
    port.postMessage(request)
  })
}

function answerClock(): void {
  const channel = new BroadcastChannel('clock')
  channel.onmessage = ({ data }) => {
    if (data === 'ask') channel.postMessage(clockNow())
  }
}

const probe: BenchPage = {
  async connect(name, relayUrl) {
    client = await (relayUrl === undefined ? connect({ name }) : connect(relayUrl, { name }))
  },
  async close() {
    await client?.close()
    client = undefined
    topics.clear()
  },
  async sendFlow({ topic, count, warmupCount, inFlightCount, bodyBytes }) {
    await flow(topicOf(topic), warmupCount, inFlightCount, bodyBytes)
    return flow(topicOf(topic), count, inFlightCount, bodyBytes)
  },
  async sendLone(topic, count, bodyBytes) {
    const body = noise(bodyBytes)
    await inTurn(20, () => topicOf(topic).send(body))
    return inTurn(count, () => topicOf(topic).send(body))
  },
  async listen(topic) {
    answerClock()
    const consumer = topicOf(topic).consume({ group: 'listener' })
    void consumer.run((message) => arrived(message.body), { concurrency: 100 })
    await consumer.subscribed
  },
  async clockAhead() {
    const channel = new BroadcastChannel('clock')
    let best = { tripMs: Infinity, aheadMs: 0 }
    for (let at = 0; at < 50; at++) {
      const askedMs = clockNow()
      const theirs = await new Promise<number>((resolve) => {
        channel.onmessage = ({ data }) => resolve(data as number)
        channel.postMessage('ask')
      })
      const tripMs = clockNow() - askedMs
      if (tripMs < best.tripMs) best = { tripMs, aheadMs: theirs - askedMs - tripMs / 2 }
    }
    channel.close()
    return best.aheadMs
  },
  async sendSpaced(topic, count, gapMs, aheadMs) {
    await spaced(count, gapMs, () => void topicOf(topic).send(stamped(aheadMs)))
  },
  async heard(count) {
    await until(() => tookMs.length >= count)
    return latenciesOf(tookMs.splice(0), 0)
  },
  async catchUp(name, relayUrl, topic, count) {
    const startedMs = performance.now()
    client = await connect(relayUrl, { name })
    let seenCount = 0
    const consumer = topicOf(topic).consume({ group: 'copy', mode: 'BROADCASTING', from: 'earliest' })
    void consumer.run(() => {
      if (++seenCount >= count) wake()
    }, { concurrency: 1_000 })
    await until(() => seenCount >= count)
    return performance.now() - startedMs
  },
  async firstDelivery(name, topic) {
    const startedMs = performance.now()
    client = await connect({ name })
    const consumer = topicOf(topic).consume({ group: 'cold', mode: 'BROADCASTING', from: 'earliest' })
    await consumer[Symbol.asyncIterator]().next()
    return performance.now() - startedMs
  },
  async startConsuming(topic, group) {
    const consumer = topicOf(topic).consume({ group })
    void consumer.run(() => {
      consumedCount++
      wake()
    }, { concurrency: 1_000 })
    await consumer.subscribed
  },
  async traffic({ topic, count, inFlightCount, bodyBytes }) {
    const goalCount = consumedCount + count
    await flow(topicOf(topic), count, inFlightCount, bodyBytes)
    await until(() => consumedCount >= goalCount)
  },
  async subscribe(topic, count) {
    const handle = (): void => {}
    for (let at = 0; at < count; at++) {
      const consumer = topicOf(topic).consume({ group: `group-${at}` })
      void consumer.run(handle)
      await consumer.subscribed
    }
  },
  bareOpen: (database) => ask({ op: 'open', database }),
  bareEcho: (count) => inTurn(count, () => ask({ op: 'echo' })),
  barePut(count, bodyBytes) {
    const body = noise(bodyBytes)
    return inTurn(count, () => ask({ op: 'put', body }))
  },
  bareAppend: (batchCount, batchBytes) => ask({ op: 'append', batchCount, batchBytes }),
  async bareListen() {
    answerClock()
    barePort().onmessage = ({ data }) => {
      if (data instanceof Uint8Array) arrived(data)
    }
  },
  async bareSendSpaced(count, gapMs, aheadMs) {
    await spaced(count, gapMs, () => barePort().postMessage({ op: 'forward', body: stamped(aheadMs) } satisfies BareRequest))
  },
  bareFirst: (database) => ask({ op: 'first', database }),
}

Object.assign(window, { probe })
