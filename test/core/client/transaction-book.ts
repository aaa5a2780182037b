// A relay's part in transactions, by the rules of the protocol and nothing else: what is prepared, what has ended how, and
// what is visible. Tests say what it refuses, and what gets lost on the way.

import { bytesToText } from '../../../core/bytes.ts'
import type { ErrorCode } from '../../../core/errors.ts'
import type { FrameFields, TransactionOutcome } from '../../../core/protocol/frames.ts'
import { decodeMessage } from '../../../core/record/message-codec.ts'
import { producerIdToBytes, producerIdToText } from '../../../core/record/record-batch.ts'
import type { Script, ScriptedLine } from '../../support/scripted-relay.ts'
import { recordOf } from './records.ts'

type Prepare = FrameFields<'PREPARE'>
type End = FrameFields<'END_TRANSACTION'>

export interface HalfMessage {
  readonly topic: string
  readonly body: string
  readonly messageId: string
  readonly deliverMs: number
}

export type Verdict = { readonly refuse: ErrorCode; readonly retryAfterMs?: number } | 'take' | 'ignore'

export class TransactionBook {
  readonly prepares: Prepare[] = []
  readonly ends: End[] = []
  /** Half messages of transactions that are not ended. */
  readonly open = new Map<string, HalfMessage[]>()
  readonly ended = new Map<string, { readonly outcome: TransactionOutcome; readonly messages: readonly HalfMessage[] }>()
  /** What is visible, in the order of the commits. */
  readonly log: HalfMessage[] = []
  /** What to do with a request before the rule is asked. */
  judge: (request: Prepare | End) => Verdict = () => 'take'
  /** How an answer is given; at once by default. */
  answer: (give: () => void) => void = (give) => give()

  /** For a script, with agreeable answers to the rest. */
  get script(): Script {
    const done = ({ requestId }: { requestId: number }, line: ScriptedLine) => line.send('DONE', { requestId, failures: [] })
    return {
      REGISTER_PRODUCER: done,
      UNREGISTER_PRODUCER: done,
      PREPARE: (prepare, line) => {
        this.prepares.push(prepare)
        this.#hear(prepare, line, () => this.#prepare(prepare), () => done(prepare, line))
      },
      END_TRANSACTION: (end, line) => {
        this.ends.push(end)
        let isDuplicate = false
        this.#hear(end, line, () => {
          isDuplicate = this.ended.has(producerIdToText(end.transactionId))
          return this.#end(end)
        }, () => {
          line.send('TRANSACTION_ENDED', {
            requestId: end.requestId, outcome: end.outcome, duplicate: isDuplicate, ...this.#placesOf(end),
          })
        })
      },
    }
  }

  /** As a relay does after so much silence. */
  check(line: ScriptedLine, transactionId: string, checkCount = 1): void {
    const messages = this.open.get(transactionId) ?? []
    line.send('CHECK_TRANSACTION', {
      transactionId: producerIdToBytes(transactionId), producerGroup: 'shop', checkCount, preparedMs: 5,
      messages: messages.map(({ topic, body }, index) => ({
        topic,
        record: recordOf([body], { producerId: transactionId, producerEpoch: 0, baseSequence: index }),
      })),
    })
  }

  /** Ends one without being asked to, as after a check that somebody else answered. */
  endByCheck(transactionId: string, outcome: TransactionOutcome): void {
    const messages = this.open.get(transactionId) ?? []
    this.open.delete(transactionId)
    this.ended.set(transactionId, { outcome, messages })
    if (outcome === 'commit') this.log.push(...messages)
  }

  get bodies(): string[] {
    return this.log.map(({ body }) => body)
  }

  #hear(
    request: Prepare | End, line: ScriptedLine, apply: () => ErrorCode | undefined, agree: () => void,
  ): void {
    const verdict = this.judge(request)
    if (verdict === 'ignore') return
    const { requestId } = request
    if (verdict !== 'take') return this.answer(() => line.refuse(requestId, verdict.refuse, verdict.retryAfterMs))
    const refusal = apply()
    this.answer(() => (refusal === undefined ? agree() : line.refuse(requestId, refusal)))
  }

  #prepare({ transactionId: id, topic, baseSequence, messageCount, messages }: Prepare): ErrorCode | undefined {
    const transactionId = producerIdToText(id)
    if (this.ended.has(transactionId)) return 'TRANSACTION_FINISHED'
    const known = this.open.get(transactionId) ?? []
    if (baseSequence + messageCount <= known.length) return undefined
    if (baseSequence !== known.length) return 'SEQUENCE_GAP'
    let position = 0
    for (let index = 0; index < messageCount; index++) {
      const { headers, body, sequenceDelta } = decodeMessage(messages, position)
      if (sequenceDelta !== index) throw new Error(`message ${index} has sequence delta ${sequenceDelta}`)
      position = body.byteOffset - messages.byteOffset + body.length
      const messageId = `${transactionId}-0-${baseSequence + index}`
      known.push({ topic, body: bytesToText(body), messageId, deliverMs: headers.deliverMs ?? 0 })
    }
    if (position !== messages.length) throw new Error('a part has more bytes than messages')
    this.open.set(transactionId, known)
    return undefined
  }

  #end({ transactionId: id, outcome, messageCount }: End): ErrorCode | undefined {
    const transactionId = producerIdToText(id)
    const ended = this.ended.get(transactionId)
    if (ended !== undefined) return ended.outcome === outcome ? undefined : 'TRANSACTION_FINISHED'
    const messages = this.open.get(transactionId)
    if (outcome === 'commit') {
      if (messages === undefined) return 'TRANSACTION_NOT_FOUND'
      if (messages.length !== messageCount) return 'SEQUENCE_GAP'
    }
    this.endByCheck(transactionId, outcome)
    return undefined
  }

  /** Each topic has one queue of its own; what is delayed has no place. */
  #placesOf({ transactionId: id, outcome }: End): Pick<FrameFields<'TRANSACTION_ENDED'>, 'segments' | 'scheduled'> {
    if (outcome === 'rollback') return { segments: [], scheduled: [] }
    const { messages = [] } = this.ended.get(producerIdToText(id)) ?? {}
    const segments = messages.map(({ topic, deliverMs, messageId }) => {
      if (deliverMs > 0) return { topic, queueId: 0, epoch: 0, offset: 0, count: 1 }
      const offset = this.log.filter((other) => other.topic === topic).findIndex((other) => other.messageId === messageId)
      return { topic, queueId: 2, epoch: 1, offset, count: 1 }
    })
    return { segments, scheduled: messages.map(({ deliverMs }) => deliverMs).filter((deliverMs) => deliverMs > 0) }
  }
}
