// The broker as a producer of messages that it makes itself: a new one each time it opens, and one for all topics, as a
// message id names no topic.

import type { Random } from '../ports/random.ts'

export class OwnProducer {
  readonly producerId: Uint8Array
  #sequence = 0

  constructor(random: Random) {
    this.producerId = random.bytes(8)
  }

  /** A number from 0 to 1 that differs with each opening. */
  get share(): number {
    return (this.producerId[0] as number) / 256
  }

  /** The sequence of its next message. */
  next(): number {
    return this.#sequence++
  }
}
