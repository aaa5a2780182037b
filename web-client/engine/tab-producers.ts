// What a page sends: each of its producers, chunk by chunk, and the answers on their way back, many in one message. The
// page keeps the producers' identities; so what it sends again to the next engine is recognised there.

import type { SendReceipt } from '../../core/client/api.ts'
import { PocketError } from '../../core/errors.ts'
import { errorToWire } from '../port/errors.ts'
import type { OpenProducer, PortSendOptions, SendChunk, Sent } from '../port/port-protocol.ts'
import type { TabLine } from './tab-line.ts'

/** Receipts of fewer are cloned: handing a buffer over costs more than so little of it. */
const clonedCountMax = 64

/** A receipt, as far as it goes: what only the relay can say is missing until then. */
type Receipt = Pick<SendReceipt, 'messageId'> & Partial<SendReceipt>

interface TabProducer {
  send(body: Uint8Array, options: PortSendOptions | undefined, index: number): void
  seal(): void
  close(): Promise<void>
}

export class TabProducers {
  readonly #line: TabLine
  readonly #producers = new Map<number, TabProducer>()

  constructor(line: TabLine) {
    this.#line = line
  }

  open({ producer, topic, home, producerId, producerEpoch, sequenceNext }: OpenProducer): void {
    const line = this.#line
    // After a refusal it comes again.
    void this.#producers.get(producer)?.close()
    const options = {
      identity: { producerId, producerEpoch, sequenceNext },
      stopped: () => line.clock.defer(() => {
        answers.flush()
        line.post({ kind: 'resend', producer })
      }),
      renumbered: (identity: { readonly producerId: string; readonly producerEpoch: number; readonly sequenceNext: number }) => {
        // The page must not take what was answered before for what comes now.
        answers.flush()
        line.post({ kind: 'renumbered', producer, ...identity })
      },
    }
    const answers = new Answers(line, producer, 'sent')
    const { promise: idle, resolve: becomeIdle } = withResolvers()
    try {
      if (home === 'device') {
        const host = line.client('device').producer(topic, options)
        this.#producers.set(producer, {
          send(body, sendOptions, index) {
            if (!host.isStopped) answers.follow(index, host.send(body, sendOptions))
          },
          seal: () => host.seal(),
          close: () => host.close(),
        })
      } else {
        const relayed = new Answers(line, producer, 'relayed')
        const outbox = line.relay().producer(topic, options)
        this.#producers.set(producer, {
          send(body, sendOptions, index) {
            if (outbox.isStopped) return
            const send = outbox.send(body, sendOptions)
            answers.follow(index, send.stored)
            relayed.follow(index, send.relayed)
          },
          seal: () => outbox.seal(),
          close: () => outbox.close(),
        })
      }
    } catch (error) {
      this.#producers.set(producer, {
        send: (_body, _options, index) => answers.follow(index, Promise.reject(error as Error)),
        seal: becomeIdle,
        close: () => idle,
      })
      becomeIdle()
    }
  }

  send({ producer, index, bodies, sizes, options }: SendChunk): void {
    const target = this.#producers.get(producer)
    if (target === undefined) {
      const error = errorToWire(new PocketError('BAD_ARGUMENT', `producer ${producer} was not opened`))
      for (let at = 0; at < sizes.length; at++) this.#line.post({ kind: 'refused', producer, index: index + at, error })
      return
    }
    let position = 0
    for (let at = 0; at < sizes.length; at++) {
      const size = sizes[at] as number
      target.send(bodies.subarray(position, position + size), options?.[at], index + at)
      position += size
    }
    target.seal()
  }

  async close(producer: number): Promise<void> {
    const target = this.#producers.get(producer)
    this.#producers.delete(producer)
    await target?.close()
  }
}

/** Answers of one producer: gathered while they come in one go, and told in runs. */
class Answers {
  readonly #line: TabLine
  readonly #producer: number
  readonly #kind: 'sent' | 'relayed'
  #indexes: number[] = []
  #receipts: Receipt[] = []

  constructor(line: TabLine, producer: number, kind: 'sent' | 'relayed') {
    this.#line = line
    this.#producer = producer
    this.#kind = kind
  }

  follow(index: number, answer: Promise<Receipt>): void {
    answer.then(
      (receipt) => {
        if (this.#indexes.push(index) === 1) this.#line.clock.defer(() => this.flush())
        this.#receipts.push(receipt)
      },
      (error: unknown) => {
        // In order with those before it.
        this.flush()
        const kind = this.#kind === 'sent' ? 'refused' : 'relay-refused'
        this.#line.post({ kind, producer: this.#producer, index, error: errorToWire(error) })
      },
    )
  }

  flush(): void {
    const indexes = this.#indexes
    const receipts = this.#receipts
    this.#indexes = []
    this.#receipts = []
    for (let start = 0; start < indexes.length;) {
      const first = indexes[start] as number
      const idPrefix = prefixOf(receipts[start] as Receipt)
      let end = start + 1
      while (indexes[end] === first + end - start && (receipts[end] as Receipt).messageId.startsWith(idPrefix)) end++
      this.#tell(first, idPrefix, receipts.slice(start, end))
      start = end
    }
  }

  #tell(index: number, idPrefix: string, receipts: readonly Receipt[]): void {
    const places = new Float64Array(receipts.length * 4)
    let rare: Map<number, NonNullable<ReturnType<NonNullable<Sent['rare']>['get']>>> | undefined
    for (let at = 0; at < receipts.length; at++) {
      const { messageId, queueId, offset, epoch, duplicate, durability, deliverMs, recallHandle } = receipts[at] as Receipt
      places[at * 4] = Number(messageId.slice(idPrefix.length))
      places[at * 4 + 1] = queueId ?? Number.NaN
      places[at * 4 + 2] = offset ?? Number.NaN
      places[at * 4 + 3] = epoch ?? Number.NaN
      const isPlain = duplicate !== true && durability !== 'relaxed'
      if (isPlain && deliverMs === undefined && recallHandle === undefined) continue
      rare ??= new Map()
      rare.set(at, {
        ...(duplicate === true ? { duplicate } : {}),
        ...(durability === 'relaxed' ? { durability } : {}),
        ...(deliverMs === undefined ? {} : { deliverMs }),
        ...(recallHandle === undefined ? {} : { recallHandle }),
      })
    }
    const told: Sent = { kind: this.#kind, producer: this.#producer, index, idPrefix, places, ...(rare ? { rare } : {}) }
    this.#line.post(told, receipts.length < clonedCountMax ? [] : [places.buffer])
  }
}

/** `producerId-epoch-`. */
function prefixOf({ messageId }: Receipt): string {
  return messageId.slice(0, messageId.lastIndexOf('-') + 1)
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((settle) => (resolve = settle))
  return { promise, resolve }
}
