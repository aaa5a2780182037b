// Traces for OpenTelemetry: follows the relay's own trace topic and turns what it tells into spans, through the API
// package alone. Whoever runs the relay loads an SDK before it (`node --import ./telemetry.mjs …`); without one, spans
// go nowhere. Names follow the semantic conventions for messaging (https://opentelemetry.io/docs/specs/semconv/messaging/).

import {
  type Attributes, type Context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags, type Tracer,
} from '@opentelemetry/api'
import type { BrokerDoor, FollowerSink, Following, PullResult } from '../core/broker/door.ts'
import { decodeTraceRecord, type TraceRecord, type TraceRun } from '../core/broker/trace-record.ts'
import { PocketError } from '../core/errors.ts'
import { traceProperty } from '../core/model/message.ts'
import { traceTopic } from '../core/model/names.ts'
import type { StoredMessage } from '../core/model/message.ts'
import type { Log } from '../core/ports/log.ts'
import type { Change } from '../core/protocol/frames.ts'
import { RecordBatch } from '../core/record/record-batch.ts'

/** Messages of one run that get spans of their own; a longer run is cut off, and says so. */
const spansPerRunMax = 256
const creditBytes = 1024 * 1024
const creditChanges = 1024

export interface TraceExporterDeps {
  readonly broker: Pick<BrokerDoor, 'describeTopic' | 'follow' | 'pull'>
  readonly log: Log
  readonly version: string
  /** Default: that of the SDK that is loaded. */
  readonly tracer?: Tracer
}

export interface TraceExporter {
  stop(): void
}

/** Exports what happens from now on. */
export function startTraceExporter(deps: TraceExporterDeps): TraceExporter {
  const exporter = new FollowingExporter(deps)
  void exporter.start()
  return { stop: () => exporter.stop() }
}

class FollowingExporter implements FollowerSink {
  readonly isWritable = true
  readonly #deps: TraceExporterDeps
  readonly #tracer: Tracer
  #following: Following | undefined
  #isStopped = false
  /** One batch after the other: spans of a message come in the order things happened. */
  #work: Promise<void> = Promise.resolve()

  constructor(deps: TraceExporterDeps) {
    this.#deps = deps
    this.#tracer = deps.tracer ?? trace.getTracer('pocketmq', deps.version)
  }

  async start(): Promise<void> {
    const { broker, log } = this.#deps
    const positions = await new Promise<{ topic: string; queueId: number; position: { epoch: number; offset: number } }[]>(
      (resolve) => broker.describeTopic(traceTopic, (outcome) => resolve(outcome instanceof PocketError ? [] : outcome.queues.map(
        ({ queueId, epoch, maxOffset }) => ({ topic: traceTopic, queueId, position: { epoch, offset: maxOffset } }),
      ))),
    )
    if (this.#isStopped) return
    broker.follow({ topics: [traceTopic], positions, withProgress: false }, this, (outcome) => {
      if (outcome instanceof PocketError) {
        log.error('traces are not exported', { code: outcome.code, message: outcome.message })
        return
      }
      this.#following = outcome
      if (this.#isStopped) outcome.leave()
      else outcome.credit(creditChanges, creditBytes)
    })
  }

  stop(): void {
    this.#isStopped = true
    this.#following?.leave()
  }

  changes(_sequence: number, _isCurrent: boolean, _lag: number, changes: readonly Change[]): void {
    this.#work = this.#work.then(async () => {
      let byteCount = 0
      for (const change of changes) {
        byteCount += change.value.length + 16
        if (change.kind === 'record') await this.#exportRecord(change.value)
      }
      // As much as was taken: what the SDK cannot keep up with waits in the log.
      if (!this.#isStopped) this.#following?.credit(changes.length, byteCount)
    }).catch((error: unknown) => {
      this.#deps.log.error('a trace could not be exported', { error: String(error) })
    })
  }

  revoked(reason: PocketError): void {
    this.#deps.log.error('traces are not exported any more', { code: reason.code, message: reason.message })
  }

  async #exportRecord(bytes: Uint8Array): Promise<void> {
    const record = RecordBatch.view(bytes)
    for (let index = 0; index < record.messageCount; index++) {
      const told = decodeTraceRecord(record.messageAt(index, traceTopic, 0).body)
      for (const run of told.runs) if (run.kind !== 'delivered') await this.#exportRun(told, run)
    }
  }

  /** A run is something that took a while and has ended: the storing of messages, or their time with a consumer. */
  async #exportRun(told: TraceRecord, run: TraceRun): Promise<void> {
    const messages = await this.#messagesOf(told, run)
    for (const message of messages) this.#span(told, run, message)
  }

  #span({ topic, queueId }: TraceRecord, run: TraceRun, message: StoredMessage): void {
    const isStored = run.kind === 'stored'
    const attributes: Attributes = {
      'messaging.system': 'pocketmq',
      'messaging.operation.name': isStored ? 'store' : run.kind,
      'messaging.operation.type': isStored ? 'create' : 'process',
      'messaging.destination.name': topic,
      'messaging.destination.partition.id': String(queueId),
      'messaging.message.id': message.messageId,
      'messaging.message.body.size': message.body.length,
      'messaging.client.id': run.clientId,
    }
    if (message.tag !== undefined) attributes['messaging.rocketmq.message.tag'] = message.tag
    if (message.keys !== undefined) attributes['messaging.rocketmq.message.keys'] = [...message.keys]
    if (run.group !== '') attributes['messaging.consumer.group.name'] = run.group
    if (run.attempt > 0) attributes['messaging.pocketmq.delivery_attempt'] = run.attempt
    if (run.delayMs > 0) attributes['messaging.pocketmq.retry_delay_ms'] = run.delayMs
    const span = this.#tracer.startSpan(
      `${isStored ? 'store' : 'process'} ${topic}`,
      { kind: isStored ? SpanKind.PRODUCER : SpanKind.CONSUMER, startTime: run.atMs - run.costMs, attributes },
      contextOf(message.properties?.get(traceProperty)),
    )
    if (run.kind !== 'stored' && run.kind !== 'acked') span.setStatus({ code: SpanStatusCode.ERROR, message: run.kind })
    span.end(run.atMs)
  }

  /** The messages themselves know their id, and the trace that they belong to. */
  async #messagesOf({ topic, queueId, epoch }: TraceRecord, { offset, count }: TraceRun): Promise<StoredMessage[]> {
    const messageCountMax = Math.min(count, spansPerRunMax)
    if (count > spansPerRunMax) this.#deps.log.debug('a long trace was cut off', { topic, queueId, offset, count })
    const outcome = await new Promise<PullResult | PocketError>((resolve) => {
      const start = { kind: 'position', position: { epoch, offset } } as const
      const bounds = { messageCountMax, byteCountMax: 1 << 20, waitMs: 0 }
      this.#deps.broker.pull({ topic, queueId, start, filterKind: 'TAG', filter: '*', ...bounds }, resolve)
    })
    if (outcome instanceof PocketError) return []
    const messages: StoredMessage[] = []
    for (const bytes of outcome.records) {
      const record = RecordBatch.view(bytes)
      for (let index = 0; index < record.messageCount; index++) {
        const message = record.messageAt(index, topic, queueId)
        if (message.offset >= offset && message.offset < offset + count) messages.push(message)
      }
    }
    return messages
  }
}

const traceparentForm = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** The context that a W3C traceparent names; the root where there is none, or it is none. */
function contextOf(traceparent: string | undefined): Context {
  const match = traceparentForm.exec(traceparent ?? '')
  const [, traceId, spanId, flags] = match ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return ROOT_CONTEXT
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return ROOT_CONTEXT
  const traceFlags = Number.parseInt(flags, 16) & TraceFlags.SAMPLED
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true })
}
