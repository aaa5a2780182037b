// A relay on a real port: what it answers to HTTP, what it counts, how it ends, and what happens when its store fails.

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { ByteWriter, textToBytes } from '../../core/bytes.ts'
import { errorCodes } from '../../core/error-codes.ts'
import { PocketError } from '../../core/errors.ts'
import { closeCodes } from '../../core/model/close-codes.ts'
import type { CommitOutcome, Store } from '../../core/ports/store.ts'
import { encodeFrame } from '../../core/protocol/codec.ts'
import { encodeMessage } from '../../core/record/message-codec.ts'
import { RecordBatch } from '../../core/record/record-batch.ts'
import { createMemoryStore } from '../../core/storage/memory-store.ts'
import { connect as connectClient } from '../../server/connect.ts'
import { ListenError, type Relay, type RelayDeps, type RelayOptions, startRelay } from '../../server/relay.ts'
import { createSystemClock } from '../../server/system.ts'
import { FrameClient } from './frame-client.ts'

const relays: Relay[] = []
const folders: string[] = []

/** A relay in memory on a free port, which ends with the test. */
async function start(options: RelayOptions = {}, deps: RelayDeps = {}): Promise<Relay> {
  const relay = await startRelay({ port: 0, isInMemory: true, ...options }, deps)
  relays.push(relay)
  return relay
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pocketmq-relay-test-'))
  folders.push(folder)
  return folder
}

afterEach(async () => {
  await Promise.all(relays.splice(0).map((relay) => relay.close()))
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

let producerCount = 0

/** A batch of one producer of its own. */
function publish(requestId: number, topic: string, bodies: readonly string[]): Uint8Array {
  const producerId = new Uint8Array(8)
  producerId[7] = ++producerCount
  const writer = new ByteWriter()
  const scratch = new ByteWriter()
  bodies.forEach((body, index) => encodeMessage(writer, scratch, index, { bornMs: 1_000 }, textToBytes(body)))
  const messageCount = bodies.length
  const messages = writer.finish()
  return encodeFrame('PUBLISH', {
    requestId, topic, producerId, producerEpoch: 0, baseSequence: 0, messageCount, sentMs: 1_000, messages,
  })
}

function subscribe(requestId: number, topic: string, group: string): Uint8Array {
  const memberId = new Uint8Array(8)
  memberId[7] = requestId
  return encodeFrame('SUBSCRIBE', {
    requestId, subscriptionId: requestId, memberId, group, topic, mode: 'CLUSTERING', filterKind: 'TAG', filter: '*',
    start: { kind: 'earliest' }, leaseMs: 0, positions: [], positionKeeper: 'client', consumerName: '',
  })
}

function credit(subscriptionId: number): Uint8Array {
  return encodeFrame('CREDIT', { subscriptionId, messageCount: 100, byteCount: 1_000_000 })
}

interface HttpAnswer {
  readonly status: number
  readonly text: string
  readonly headers: Headers
}

async function get(relay: Relay, path: string, init?: RequestInit): Promise<HttpAnswer> {
  const response = await fetch(`${relay.httpUrl}${path}`, init)
  return { status: response.status, text: await response.text(), headers: response.headers }
}

describe('plain HTTP', () => {
  test('tells that the relay lives and is ready', async () => {
    const relay = await start()
    expect(await get(relay, '/healthz')).toMatchObject({ status: 200, text: 'ok\n' })
    expect(await get(relay, '/readyz?verbose')).toMatchObject({ status: 200, text: 'ready\n' })
  })

  test('tells that the relay takes no messages while its store has no room', async () => {
    const store = createMemoryStore({ clock: createSystemClock() })
    let freeBytes = 2 ** 40
    const logged: string[] = []
    const relay = await start({}, {
      store: {
        read: store.read.bind(store),
        commit: store.commit.bind(store),
        close: () => store.close(),
        space: () => ({ usedBytes: 0, freeBytes }),
      },
      log: { error: (event) => void logged.push(event), info: (event) => void logged.push(event), debug: () => {} },
    })
    const client = await connectClient(relay.url)
    freeBytes = 0
    await client.admin.createTopic('orders')
    expect(await get(relay, '/readyz')).toMatchObject({ status: 503, text: 'full: the store has no room for messages\n' })
    expect(logged).toContain('no room for messages: publishes are refused')
    freeBytes = 2 ** 40
    await client.admin.createTopic('more')
    expect(await get(relay, '/readyz')).toMatchObject({ status: 200 })
    await client.close()
  })

  test('tells people what this is, and where nothing is', async () => {
    const relay = await start()
    const root = await get(relay, '/')
    expect(root).toMatchObject({ status: 200 })
    expect(root.text).toContain(`ws://127.0.0.1:${relay.port}/`)
    expect(root.headers.get('x-content-type-options')).toBe('nosniff')
    expect(await get(relay, '/nothing')).toMatchObject({ status: 404, text: expect.stringContaining('/healthz') })
  })

  test('answers GET and HEAD only', async () => {
    const relay = await start()
    expect(await get(relay, '/healthz', { method: 'POST' })).toMatchObject({ status: 405 })
    const head = await get(relay, '/healthz', { method: 'HEAD' })
    expect(head).toMatchObject({ status: 200, text: '' })
    expect(head.headers.get('content-length')).toBe('3')
  })
})

interface Series {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Reads the text format; whatever is not of it fails the test. */
function parseMetrics(text: string): { series: ReadonlyMap<string, Series[]>; types: ReadonlyMap<string, string> } {
  const series = new Map<string, Series[]>()
  const types = new Map<string, string>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('# HELP ')) continue
    const type = /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/.exec(line)
    if (type !== null) {
      types.set(type[1] as string, type[2] as string)
      continue
    }
    const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line)
    expect(match, line).not.toBeNull()
    const [, name, labelText = '', value] = match as RegExpExecArray
    const labelMatches = [...labelText.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)]
    const labels = Object.fromEntries(labelMatches.map(([, label, text]) => [label, text]))
    series.set(name as string, [...(series.get(name as string) ?? []), { labels, value: Number(value) }])
  }
  return { series, types }
}

async function scrape(relay: Relay): Promise<ReturnType<typeof parseMetrics>> {
  const { status, text, headers } = await get(relay, '/metrics')
  expect(status).toBe(200)
  expect(headers.get('content-type')).toContain('text/plain; version=0.0.4')
  return parseMetrics(text)
}

describe('metrics', () => {
  test('count what went through, under RocketMQ’s names', async () => {
    const relay = await start()
    const client = await FrameClient.greet(relay.url)
    client.send(publish(1, 'orders', ['a', 'b', 'c']))
    await client.next('PUBLISHED')
    client.send(subscribe(2, 'orders', 'till'), credit(2))
    const { queueId, leaseId, record } = await client.next('DELIVER')
    const delivered = RecordBatch.open(record)
    expect(delivered.messageCount).toBeGreaterThan(0)
    const { baseOffset: offset, messageCount: count } = delivered
    client.send(encodeFrame('ACK', { requestId: 3, subscriptionId: 2, ranges: [{ queueId, leaseId, offset, count }] }))
    await client.next('DONE')
    client.send(encodeFrame('DESCRIBE_TOPIC', { requestId: 4, topic: 'no-such-topic' }))
    await client.next('ERROR')

    const { series, types } = await scrape(relay)
    expect(series.get('rocketmq_messages_in_total')).toEqual([{ labels: { topic: 'orders' }, value: 3 }])
    const labels = { topic: 'orders', consumer_group: 'till' }
    expect(series.get('rocketmq_messages_out_total')).toEqual([{ labels, value: 3 }])
    expect(series.get('rocketmq_consumer_lag_messages')).toEqual([{ labels, value: 3 - count }])
    expect(series.get('rocketmq_consumer_connections')).toMatchObject([{ value: 1 }])
    expect(series.get('rocketmq_topic_number')).toEqual([{ labels: {}, value: 1 }])
    expect(series.get('pocketmq_errors_total')).toEqual([{ labels: { code: 'TOPIC_NOT_FOUND' }, value: 1 }])
    expect(series.get('pocketmq_connections')).toEqual([{ labels: {}, value: 1 }])
    expect(series.get('rocketmq_message_size_count')).toEqual([{ labels: {}, value: 3 }])
    expect(types.get('rocketmq_messages_in_total')).toBe('counter')
    expect(types.get('rocketmq_consumer_inflight_messages')).toBe('gauge')
    const answers = series.get('rocketmq_rpc_latency_count')?.map(({ labels: { request_code, response_code }, value }) =>
      [request_code, response_code, value])
    expect(answers).toEqual(expect.arrayContaining([
      ['PUBLISH', 'ok', 1], ['ACK', 'ok', 1], ['DESCRIBE_TOPIC', 'error', 1],
    ]))
    const [commits] = series.get('pocketmq_commits_total') ?? []
    expect(commits?.value).toBe(series.get('pocketmq_commit_milliseconds_count')?.[0]?.value)
    expect(series.get('process_resident_memory_bytes')?.[0]?.value).toBeGreaterThan(1e6)
  })

  test('have histograms whose buckets add up', async () => {
    const relay = await start()
    const client = await FrameClient.greet(relay.url)
    client.send(publish(1, 'orders', ['a', 'b'.repeat(2_000)]))
    await client.next('PUBLISHED')
    const { series, types } = await scrape(relay)
    for (const name of [...types].filter(([, type]) => type === 'histogram').map(([name]) => name)) {
      for (const { labels, value } of series.get(`${name}_count`) ?? []) {
        const buckets = (series.get(`${name}_bucket`) ?? []).filter((bucket) => {
          return Object.entries(labels).every(([label, text]) => bucket.labels[label] === text)
        })
        const counts = buckets.map((bucket) => bucket.value)
        expect(counts, name).toEqual(counts.toSorted((left, right) => left - right))
        expect(buckets.at(-1)).toMatchObject({ labels: { le: '+Inf' }, value })
      }
    }
  })

  test('keep the number of series bounded, whatever topics there are', async () => {
    const relay = await start({ metricSeriesCountMax: 2 })
    const client = await FrameClient.greet(relay.url)
    const topics = ['one', 'two', '__proto__', 'constructor', 'five']
    for (const [index, topic] of topics.entries()) {
      client.send(publish(index + 1, topic, ['a', 'b']))
      await client.next('PUBLISHED', index)
    }
    const { series } = await scrape(relay)
    expect(series.get('rocketmq_messages_in_total')).toEqual([
      { labels: { topic: 'one' }, value: 2 },
      { labels: { topic: 'two' }, value: 2 },
      { labels: { topic: '(other)' }, value: 6 },
    ])
    client.send(encodeFrame('DELETE_TOPIC', { requestId: 90, topic: 'one' }))
    await client.next('DONE')
    const after = await scrape(relay)
    expect(after.series.get('rocketmq_messages_in_total')).toHaveLength(3)
    expect(after.series.get('rocketmq_messages_in_total')).not.toContainEqual({ labels: { topic: 'one' }, value: 2 })
  })
})

describe('connections', () => {
  test('that send nonsense are closed with a code, and others feel nothing', async () => {
    const relay = await start()
    const good = await FrameClient.greet(relay.url)
    const bad = await FrameClient.greet(relay.url)
    bad.send(new Uint8Array([99, 1, 2, 3]))
    expect(await bad.next('ERROR')).toMatchObject({ requestId: 0, code: errorCodes.BAD_FRAME.number })
    expect(await bad.ended()).toMatchObject({ code: closeCodes.BAD_FRAME })
    good.send(publish(1, 'orders', ['a']))
    expect(await good.next('PUBLISHED')).toMatchObject({ requestId: 1, duplicate: false })
  })

  test('that send more than a frame may have are closed', async () => {
    const relay = await start({ limits: { frameBytesMax: 100_000, bodyBytesMax: 10_000 } })
    const client = await FrameClient.greet(relay.url)
    client.send(publish(1, 'orders', ['x'.repeat(200_000)]))
    expect((await client.ended()).code).toBe(1009)
  })

  test('must show one of the tokens where there are tokens', async () => {
    const relay = await start({ tokens: ['one', 'two'] })
    await FrameClient.greet(relay.url, 'two')
    const stranger = await FrameClient.open(relay.url)
    stranger.send(encodeFrame('HELLO', { versionMin: 1, versionMax: 1, clientId: '', clientName: '', token: 'three' }))
    expect(await stranger.ended()).toMatchObject({ code: closeCodes.UNAUTHENTICATED })
    expect(await stranger.next('ERROR')).toMatchObject({ code: errorCodes.UNAUTHENTICATED.number })
  })

  test('are judged by an authenticator of one’s own', async () => {
    const relay = await start({}, {
      authenticate: (token, _info, answer) => setImmediate(() => answer({
        name: token,
        mayPublish: (topic) => topic === `${token}-topic`,
        mayConsume: () => false,
        mayAdmin: () => false,
      })),
    })
    const client = await FrameClient.greet(relay.url, 'ann')
    client.send(publish(1, 'ann-topic', ['a']), publish(2, 'bob-topic', ['a']))
    await client.next('PUBLISHED')
    expect(await client.next('ERROR')).toMatchObject({ requestId: 2, code: errorCodes.FORBIDDEN.number })
  })

  test('are refused with 503 when there are too many, and taken again when one leaves', async () => {
    const relay = await start({ limits: { connectionCountMax: 1 } })
    const first = await FrameClient.greet(relay.url)
    const second = await FrameClient.open(relay.url)
    expect(await second.ended()).toMatchObject({ code: closeCodes.OVERLOADED })
    first.close()
    await first.ended()
    await expect.poll(async () => (await FrameClient.open(relay.url)).ending).toBeUndefined()
  })
})

describe('stopping', () => {
  test('tells clients, answers what is in hand, closes with RELAY_STOPPING and gives the port back', async () => {
    const dataFolder = temporaryFolder()
    const relay = await start({ isInMemory: false, dataFolder })
    const client = await FrameClient.greet(relay.url)
    client.send(publish(1, 'orders', ['a', 'b']))
    await client.next('PUBLISHED')
    client.send(publish(2, 'orders', ['c']))
    const closed = relay.close()
    expect(await client.next('STOPPING')).toMatchObject({ retryAfterMs: expect.any(Number) })
    expect((await get(relay, '/readyz')).status).toBe(503)
    expect((await get(relay, '/healthz')).status).toBe(200)
    expect((await (await FrameClient.open(relay.url)).ended()).code).toBe(closeCodes.OVERLOADED)
    expect(await client.ended()).toMatchObject({ code: closeCodes.RELAY_STOPPING })
    await closed
    await expect(relay.ended).resolves.toBeUndefined()
    expect(client.frames.filter(({ name }) => name === 'PUBLISHED')).toHaveLength(2)
    expect(relay.close()).toBe(closed)

    const again = await start({ isInMemory: false, dataFolder, port: relay.port })
    expect(again.stats()).toMatchObject({ topicCount: 1, messageCount: 3 })
  })

  test('takes a bounded time when the store hangs', async () => {
    const store = storeThat(2, () => {})
    const relay = await start({ drainMs: 300 }, { store })
    const client = await FrameClient.greet(relay.url)
    client.send(publish(1, 'orders', ['a']))
    await expect.poll(() => store.commitCount).toBe(2)
    await relay.close()
    expect(await client.ended()).toMatchObject({ code: closeCodes.RELAY_STOPPING })
    expect(client.frames.some(({ name }) => name === 'PUBLISHED')).toBe(false)
  })

  test('is not hindered by clients that do not answer the close', async () => {
    const relay = await start({ drainMs: 500 })
    const socket = connect(relay.port, '127.0.0.1')
    await once(socket, 'connect')
    await relay.close()
    await expect.poll(() => socket.destroyed || socket.readableEnded || socket.closed, { timeout: 5_000 }).toBe(true)
    socket.destroy()
  })
})

interface CountingStore extends Store {
  commitCount: number
}

/** A store in memory whose `failAt`-th commit, from 1, goes another way. */
function storeThat(failAt: number, fail: (answer: (outcome: CommitOutcome) => void) => void): CountingStore {
  const memory = createMemoryStore({ clock: createSystemClock() })
  return {
    commitCount: 0,
    read: (range, answer) => memory.read(range, answer),
    commit(writes, answer) {
      this.commitCount++
      if (this.commitCount === failAt) fail(answer)
      else memory.commit(writes, answer)
    },
    space: () => memory.space(),
    close: () => memory.close(),
  }
}

describe('a store that fails', () => {
  test.each([
    ['not written', { kind: 'not-written', reason: 'error', cause: new Error('EIO') }],
    ['unknown', { kind: 'unknown', cause: new Error('EIO') }],
  ] as const)('with a commit %s ends the relay: nothing is acknowledged', async (_what, outcome) => {
    const relay = await start({}, { store: storeThat(2, (answer) => setImmediate(() => answer(outcome))) })
    const client = await FrameClient.greet(relay.url)
    const bystander = await FrameClient.greet(relay.url)
    client.send(publish(1, 'orders', ['a']))
    expect(await client.ended()).toMatchObject({ code: closeCodes.STORE_FAILED })
    expect(await bystander.ended()).toMatchObject({ code: closeCodes.STORE_FAILED })
    expect(client.frames.map(({ name }) => name)).toEqual(['WELCOME', 'ERROR'])
    expect(await client.next('ERROR')).toMatchObject({ requestId: 0, code: errorCodes.STORE_FAILED.number })
    const failure = await relay.ended
    expect(failure).toBeInstanceOf(PocketError)
    expect(failure?.code).toBe('STORE_FAILED')
    expect(relay.phase).toBe('failed')
    await expect(get(relay, '/healthz')).rejects.toThrow()
    await relay.close()
  })
})

describe('starting', () => {
  test('says that the port is in use, by which flag to choose another, and leaves the store alone', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const starting = start({ port, isInMemory: false, dataFolder: temporaryFolder() })
    await expect(starting).rejects.toThrow(ListenError)
    await expect(starting).rejects.toThrow(`port ${port} of 127.0.0.1 is in use, perhaps by another relay`)
    await expect(starting).rejects.toThrow('--port')
    other.close()
  })

  test('says that an address is not of this machine', async () => {
    const text = '192.0.2.1 is no address of this machine; choose another with --host'
    await expect(start({ host: '192.0.2.1' })).rejects.toThrow(text)
  })

  test('gives the port back when the store cannot be opened', async () => {
    const taken = { isInMemory: false, dataFolder: temporaryFolder() }
    const first = await start(taken)
    const probe = await start()
    await probe.close()
    await expect(start({ ...taken, port: probe.port })).rejects.toMatchObject({ code: 'STORE_FAILED' })
    const again = await start({ port: probe.port })
    expect(again.port).toBe(probe.port)
    await first.close()
  })

  test('is of as many relays as one likes, each with its own counts', async () => {
    const [one, two] = [await start(), await start()]
    const client = await FrameClient.greet(one.url)
    client.send(publish(1, 'orders', ['a']))
    await client.next('PUBLISHED')
    expect((await scrape(one)).series.get('rocketmq_messages_in_total')).toHaveLength(1)
    expect((await scrape(two)).series.get('rocketmq_messages_in_total')).toBeUndefined()
  })
})
