// The OpenTelemetry exporter: what the relay's traces tell becomes spans of whatever SDK is behind the API, with the
// trace context that the message carried.

import { type Attributes, type Context, type Span, type SpanOptions, trace, type Tracer } from '@opentelemetry/api'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Client } from '../../core/client/api.ts'
import { connect } from '../../server/connect.ts'
import { type Relay, startRelay } from '../../server/relay.ts'

interface Seen {
  readonly name: string
  readonly attributes: Attributes
  readonly traceId: string | undefined
  readonly startMs: number
  endMs: number | undefined
  status: string | undefined
}

/** A tracer that writes down what it is told, where an SDK would send it on. */
class NotingTracer {
  readonly seen: Seen[] = []

  startSpan(name: string, options: SpanOptions = {}, context?: Context): Span {
    const entry: Seen = {
      name,
      attributes: options.attributes ?? {},
      traceId: context && trace.getSpanContext(context)?.traceId,
      startMs: Number(options.startTime),
      endMs: undefined,
      status: undefined,
    }
    const span = {
      setStatus: ({ message }: { readonly message?: string }) => {
        entry.status = message
        return span
      },
      end: (endTime?: number) => {
        entry.endMs = Number(endTime)
        this.seen.push(entry)
      },
    }
    return span as unknown as Span
  }

  named(name: string): Seen[] {
    return this.seen.filter((entry) => entry.name === name)
  }
}

let relay: Relay | undefined
let client: Client | undefined

async function start(tracePermilleDefault = 1000): Promise<{ tracer: NotingTracer; client: Client }> {
  const tracer = new NotingTracer()
  trace.setGlobalTracerProvider({ getTracer: () => tracer as unknown as Tracer })
  relay = await startRelay({ port: 0, isInMemory: true, exportsTraces: true, limits: { tracePermilleDefault } })
  client = await connect(relay.url)
  return { tracer, client }
}

afterEach(async () => {
  trace.disable()
  await client?.close()
  await relay?.close()
})

const traceId = '0af7651916cd43dd8448eb211c80319c'
const traceparent = `00-${traceId}-b7ad6b7169203331-01`

describe('traces for OpenTelemetry', () => {
  it('are spans of storing and of processing, in the trace of the message', async () => {
    const { tracer, client } = await start()
    const orders = client.topic('orders')
    const { messageId } = await orders.send({ total: 7 }, { tag: 'paid', keys: ['order-1'], properties: { traceparent } })
    for await (const message of orders.consume({ group: 'till' })) {
      await message.ack()
      break
    }
    await vi.waitFor(() => expect(tracer.named('process orders')).toHaveLength(1), 5_000)
    const [stored] = tracer.named('store orders')
    expect(stored).toMatchObject({
      traceId,
      status: undefined,
      attributes: {
        'messaging.system': 'pocketmq',
        'messaging.destination.name': 'orders',
        'messaging.message.id': messageId,
        'messaging.rocketmq.message.tag': 'paid',
        'messaging.rocketmq.message.keys': ['order-1'],
      },
    })
    const [processed] = tracer.named('process orders')
    expect(processed).toMatchObject({
      traceId, status: undefined,
      attributes: { 'messaging.consumer.group.name': 'till', 'messaging.operation.name': 'acked' },
    })
    for (const span of [stored, processed]) expect(span?.endMs).toBeGreaterThanOrEqual(span?.startMs ?? Infinity)
  })

  it('say what went wrong', async () => {
    const { tracer, client } = await start()
    const orders = client.topic('orders')
    await orders.send('a')
    await client.admin.configureGroup('till', { maxAttempts: 1 })
    for await (const message of orders.consume({ group: 'till' })) {
      await message.retry()
      break
    }
    await vi.waitFor(() => expect(tracer.named('process orders')).toMatchObject([{ status: 'dead' }]), 5_000)
  })

  it('start a trace of their own for messages without a context, or with one that is none', async () => {
    const { tracer, client } = await start()
    await client.topic('orders').send('a')
    await client.topic('orders').send('b', { properties: { traceparent: '00-zz-zz-01' } })
    await vi.waitFor(() => expect(tracer.named('store orders')).toHaveLength(2), 5_000)
    expect(tracer.seen.map((span) => span.traceId)).toEqual([undefined, undefined])
  })

  it('are none where nothing is traced', async () => {
    const { tracer, client } = await start(0)
    await client.topic('quiet').send('a')
    await client.admin.createTopic('loud', { trace: 1 })
    await client.topic('loud').send('a')
    await vi.waitFor(() => expect(tracer.named('store loud')).toHaveLength(1), 5_000)
    expect(tracer.named('store quiet')).toEqual([])
  })
})
