// A producer that does not know that another has taken its place: a tab that was frozen, a process that was thought dead.
// Both publish under one producer id at the relay's door, the successor under the next epoch; from the successor's first
// batch on, everything of the predecessor must be refused.

import { ByteWriter, textToBytes } from '../../core/bytes.ts'
import type { BrokerDoor, PublishReceipt } from '../../core/broker/door.ts'
import { PocketError } from '../../core/errors.ts'
import { encodeMessage } from '../../core/record/message-codec.ts'
import type { Found } from '../checkers/history.ts'
import type { SharedState } from './sim-application.ts'
import type { SimClock } from './sim-clock.ts'
import { bodyOf, messageName } from './sim-message.ts'
import type { SimRandom } from './sim-random.ts'

export interface SimZombieDeps {
  readonly clock: SimClock
  readonly random: SimRandom
  readonly shared: SharedState
  readonly door: () => BrokerDoor | undefined
}

/** One that publishes; the latest is the rightful one. */
interface Life {
  readonly epoch: number
  sequence: number
  /** Its batch is with the relay. */
  isWaiting: boolean
}

const topic = 'plain'

export class SimZombie {
  readonly #deps: SimZombieDeps
  readonly #random: SimRandom
  readonly #producerId: Uint8Array
  readonly #lives: Life[] = [{ epoch: 0, sequence: 0, isWaiting: false }]
  #messageCount = 0

  constructor(deps: SimZombieDeps) {
    this.#deps = deps
    this.#random = deps.random.fork('zombie')
    this.#producerId = this.#random.bytes(8)
    this.#next()
  }

  #next(): void {
    this.#deps.clock.setTimer(this.#random.between(50, 900), () => {
      if (!this.#deps.shared.isSending()) return
      this.#publish()
      this.#next()
    })
  }

  #publish(): void {
    const door = this.#deps.door()
    if (door === undefined) return
    const random = this.#random
    const latest = this.#lives.at(-1) as Life
    if (random.chance(0.25)) this.#lives.push({ epoch: latest.epoch + 1, sequence: 0, isWaiting: false })
    const life = random.chance(0.5) ? random.pick(this.#lives) : this.#lives.at(-1) as Life
    if (life.isWaiting) return
    const { shared } = this.#deps
    const name = messageName(topic, 'zombie', this.#messageCount++, 'a')
    shared.sent.set(name, { paddingBytes: 0, messageGroup: undefined })
    shared.noted({ kind: 'sent', message: name, topic })
    const writer = new ByteWriter()
    encodeMessage(writer, new ByteWriter(), 0, { tag: 'a', bornMs: 0 }, textToBytes(bodyOf(name, 0)))
    life.isWaiting = true
    const request = {
      topic,
      producerId: this.#producerId,
      producerEpoch: life.epoch,
      baseSequence: life.sequence,
      messageCount: 1,
      sentMs: 0,
      messages: writer.finish(),
    }
    door.publish(request, (outcome) => this.#answered(life, name, outcome), 'zombie')
  }

  #answered(life: Life, message: string, outcome: PublishReceipt | PocketError): void {
    const { noted } = this.#deps.shared
    life.isWaiting = false
    if (outcome instanceof PocketError) {
      noted({ kind: 'refused', message, code: outcome.code })
      return
    }
    const [segment] = outcome.segments
    const messageId = `${[...this.#producerId].map(toHex).join('')}-${life.epoch}-${life.sequence}`
    const found: Found | undefined = segment && { topic, queueId: segment.queueId, offset: segment.offset, messageId }
    life.sequence++
    noted({ kind: 'acknowledged', message, found })
  }
}

function toHex(byte: number): string {
  return byte.toString(16).padStart(2, '0')
}
