// One message of a record as a consumer sees it: nothing is read before it is asked for, and nothing twice. Making one
// is cheap, as most consumers look at the body alone. Bad bytes give RECORD_DAMAGED, text that is no UTF-8 BAD_FRAME.

import { bytesToText } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import { formatMessageId, type MessageId } from '../model/message.ts'
import {
  flagDelay, flagDeliver, flagKeys, flagMessageGroup, flagPriority, flagProperties, flagTag, flagTtl,
} from './message-codec.ts'
import { producerIdToText, type RecordBatch } from './record-batch.ts'

interface MessageNumbers {
  readonly deliverMs: number | undefined
  readonly priority: number | undefined
  readonly ttlMs: number | undefined
}

const none = -1
const noKeys: readonly string[] = []
const noProperties: ReadonlyMap<string, string> = new Map()

export class MessageView {
  readonly #record: RecordBatch
  readonly #index: number
  /** Where its parts are in the record's bytes, `none` where there is no such part; found by `#scan`. 0: not yet. */
  #bodyAt = 0
  #end = 0
  #sequenceDelta = 0
  #bornMs = 0
  #tagAt = none
  #keysAt = none
  #messageGroupAt = none
  #propertiesAt = none
  /** Only while a part is read. */
  #position = 0
  /** Undefined for most messages, which have none of them. */
  #numbers: MessageNumbers | undefined
  #messageId: MessageId | undefined
  #body: Uint8Array | undefined
  #tag: string | undefined
  #keys: readonly string[] | undefined
  #properties: ReadonlyMap<string, string> | undefined

  constructor(record: RecordBatch, index: number) {
    this.#record = record
    this.#index = index
  }

  get offset(): number {
    return this.#record.offsetAt(this.#index)
  }

  get storedMs(): number {
    return this.#record.storedMs
  }

  get messageId(): MessageId {
    if (this.#messageId === undefined) {
      this.#scan()
      const { producerId, producerEpoch, baseSequence, batchCount } = this.#record.sliceOf(this.#index)
      if (this.#sequenceDelta >= batchCount) throw damaged()
      const sequence = baseSequence + this.#sequenceDelta
      this.#messageId = formatMessageId({ producerId: producerIdToText(producerId), producerEpoch, sequence })
    }
    return this.#messageId
  }

  get bornMs(): number {
    this.#scan()
    return this.#bornMs
  }

  /** The time before which it was not to be delivered, where it was scheduled. */
  get deliverMs(): number | undefined {
    this.#scan()
    return this.#numbers?.deliverMs
  }

  get priority(): number | undefined {
    this.#scan()
    return this.#numbers?.priority
  }

  /** The time to live that its sender gave it; what applies, that of its topic included, is the record's `ttlAt`. */
  get ttlMs(): number | undefined {
    this.#scan()
    return this.#numbers?.ttlMs
  }

  get tag(): string | undefined {
    this.#scan()
    if (this.#tag === undefined && this.#tagAt !== none) {
      this.#position = this.#tagAt
      this.#tag = this.#text()
    }
    return this.#tag
  }

  get keys(): readonly string[] {
    this.#scan()
    if (this.#keysAt === none) return noKeys
    if (this.#keys === undefined) {
      this.#position = this.#keysAt
      const keys: string[] = []
      for (let count = this.#varint(); count > 0; count--) keys.push(this.#text())
      this.#keys = keys
    }
    return this.#keys
  }

  get messageGroup(): string | undefined {
    this.#scan()
    if (this.#messageGroupAt === none) return undefined
    this.#position = this.#messageGroupAt
    return this.#text()
  }

  get properties(): ReadonlyMap<string, string> {
    this.#scan()
    if (this.#propertiesAt === none) return noProperties
    if (this.#properties === undefined) {
      this.#position = this.#propertiesAt
      const properties = new Map<string, string>()
      for (let count = this.#varint(); count > 0; count--) {
        const name = this.#text()
        properties.set(name, this.#text())
      }
      this.#properties = properties
    }
    return this.#properties
  }

  /** A view, not a copy: keeping it keeps the whole record. */
  get body(): Uint8Array {
    if (this.#body === undefined) {
      this.#scan()
      this.#body = this.#record.bytes.subarray(this.#bodyAt, this.#end)
    }
    return this.#body
  }

  /** Finds the parts by their lengths. */
  #scan(): void {
    if (this.#bodyAt !== 0) return
    this.#position = this.#record.messageStart(this.#index)
    this.#end = this.#record.messageEnd(this.#index)
    const size = this.#varint()
    if (size < 1 || this.#position + size !== this.#end) throw damaged()
    const flags = this.#record.bytes[this.#position++] as number
    this.#sequenceDelta = this.#varint()
    this.#bornMs = this.#varint()
    if (flags !== 0) {
      if (flags >= flagDelay) this.#numbers = this.#scanNumbers(flags)
      if (flags & flagTag) {
        this.#tagAt = this.#position
        this.#skipTexts(1)
      }
      if (flags & flagKeys) {
        this.#keysAt = this.#position
        this.#skipTexts(this.#varint())
      }
      if (flags & flagMessageGroup) {
        this.#messageGroupAt = this.#position
        this.#skipTexts(1)
      }
      if (flags & flagProperties) {
        this.#propertiesAt = this.#position
        this.#skipTexts(2 * this.#varint())
      }
    }
    this.#bodyAt = this.#position
  }

  #scanNumbers(flags: number): MessageNumbers {
    // A delay is of no interest once it is over, and what is still to wait stands in the log with its time.
    if (flags & flagDelay) this.#number(0, fixedLimits.delayMsMax)
    if (flags & flagDelay && flags & flagDeliver) throw damaged()
    const deliverMs = flags & flagDeliver ? this.#varint() : undefined
    let priority: number | undefined
    if (flags & flagPriority) {
      if (this.#position >= this.#end) throw damaged()
      priority = this.#record.bytes[this.#position++] as number
      if (priority > fixedLimits.priorityMax) throw damaged()
    }
    return { deliverMs, priority, ttlMs: flags & flagTtl ? this.#number(1, fixedLimits.ttlMsMax) : undefined }
  }

  #skipTexts(count: number): void {
    for (; count > 0; count--) {
      const size = this.#varint()
      if (size > this.#end - this.#position) throw damaged()
      this.#position += size
    }
  }

  #text(): string {
    const size = this.#varint()
    const start = this.#position
    this.#position += size
    return bytesToText(this.#record.bytes.subarray(start, start + size))
  }

  #number(min: number, max: number): number {
    const value = this.#varint()
    if (value < min || value > max) throw damaged()
    return value
  }

  #varint(): number {
    const { bytes } = this.#record
    let value = 0
    let scale = 1
    for (let count = 0; count < 8 && this.#position < this.#end; count++) {
      const byte = bytes[this.#position++] as number
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break
        return value
      }
      scale *= 0x80
    }
    throw damaged()
  }
}

function damaged(): PocketError {
  return new PocketError('RECORD_DAMAGED', 'a message in a record is no message')
}
