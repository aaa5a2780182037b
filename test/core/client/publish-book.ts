// What a relay does with publishes, and no more: the de-duplication rule, one log per topic, and answers when a test
// wants them. For producers without a broker.

import { judgeSequence } from '../../../core/broker/producers.ts'
import { bytesToText } from '../../../core/bytes.ts'
import type { ErrorCode } from '../../../core/errors.ts'
import type { MessageHeaders } from '../../../core/model/message.ts'
import type { FrameFields } from '../../../core/protocol/frames.ts'
import { decodeMessage } from '../../../core/record/message-codec.ts'
import { producerIdToText } from '../../../core/record/record-batch.ts'
import type { ScriptedLine } from '../../support/scripted-relay.ts'

type Publish = FrameFields<'PUBLISH'>

export interface BookMessage {
  readonly headers: MessageHeaders
  readonly body: string
  readonly messageId: string
}

export type Verdict = { readonly refuse: ErrorCode; readonly retryAfterMs?: number } | 'take' | 'ignore'

export class PublishBook {
  readonly log: BookMessage[] = []
  readonly publishes: Publish[] = []
  /** What to do with a batch before the rule is asked. */
  judge: (publish: Publish) => Verdict = () => 'take'
  /** How an answer is given; at once by default. */
  answer: (give: () => void) => void = (give) => give()
  readonly #producers = new Map<string, { epoch: number; lastSequence: number }>()

  /** For a script's PUBLISH. */
  readonly hear = (publish: Publish, line: ScriptedLine): void => {
    this.publishes.push(publish)
    const verdict = this.judge(publish)
    if (verdict === 'ignore') return
    const { requestId } = publish
    if (verdict !== 'take') {
      return this.answer(() => line.refuse(requestId, verdict.refuse, verdict.retryAfterMs))
    }
    const { messageCount } = publish
    switch (this.#verdictOf(publish)) {
      case 'next': {
        const offset = this.log.length
        this.#store(publish)
        const segments = [{ queueId: 0, epoch: 1, offset, count: messageCount }]
        return this.answer(() =>
          line.send('PUBLISHED', { requestId, duplicate: false, isRelaxed: false, storedMs: 1, segments, scheduled: [] }))
      }
      case 'duplicate':
        return this.answer(() =>
          line.send('PUBLISHED', { requestId, duplicate: true, isRelaxed: false, storedMs: 0, segments: [], scheduled: [] }))
      case 'fenced':
        return this.answer(() => line.refuse(requestId, 'PRODUCER_FENCED'))
      case 'unknown':
        return this.answer(() => line.refuse(requestId, 'PRODUCER_UNKNOWN'))
      case 'gap':
      case 'overlap':
        return this.answer(() => line.refuse(requestId, 'SEQUENCE_GAP'))
    }
  }

  /** Whether it is a resend of what is stored. */
  knows(publish: Publish): boolean {
    return this.#verdictOf(publish) === 'duplicate'
  }

  /** The relay no longer knows any producer. */
  forgetProducers(): void {
    this.#producers.clear()
  }

  get bodies(): string[] {
    return this.log.map(({ body }) => body)
  }

  #verdictOf({ producerId, producerEpoch, baseSequence, messageCount }: Publish): ReturnType<typeof judgeSequence> {
    return judgeSequence(this.#producers.get(producerIdToText(producerId)), producerEpoch, baseSequence, messageCount)
  }

  #store(publish: Publish): void {
    const { producerEpoch: epoch, baseSequence, messageCount, messages } = publish
    const producerId = producerIdToText(publish.producerId)
    let position = 0
    for (let index = 0; index < messageCount; index++) {
      const { headers, body, sequenceDelta } = decodeMessage(messages, position)
      if (sequenceDelta !== index) throw new Error(`message ${index} has sequence delta ${sequenceDelta}`)
      position = body.byteOffset - messages.byteOffset + body.length
      const messageId = `${producerId}-${epoch}-${baseSequence + index}`
      this.log.push({ headers, body: bytesToText(body), messageId })
    }
    if (position !== messages.length) throw new Error('a batch has more bytes than messages')
    this.#producers.set(producerId, { epoch, lastSequence: baseSequence + messageCount - 1 })
  }
}
