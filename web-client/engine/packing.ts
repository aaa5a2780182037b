// Messages on their way to a page: their fields as plain data, their bodies in one buffer that is handed over whole.
// Cloning one small array a message is what makes messages dear (a view even takes its whole buffer along).

import type { Message } from '../../core/client/api.ts'
import type { PackedMessages, PortMessageFields } from '../port/port-protocol.ts'

/** Less is cloned: handing a buffer over costs more than so little of it. */
const clonedBytesMax = 4_096

export interface Packed extends PackedMessages {
  /** To hand over with `post`. */
  readonly transfer: Transferable[]
}

/** `ofTopic`: messages of another topic say theirs. */
export function packMessages(messages: readonly Message<Uint8Array>[], ofTopic: string | undefined): Packed {
  const sizes: number[] = []
  const fields: PortMessageFields[] = []
  let byteCount = 0
  for (const message of messages) {
    const size = message.body.length
    sizes.push(size)
    byteCount += size
    fields.push(fieldsOf(message, ofTopic))
  }
  const bodies = new Uint8Array(byteCount)
  let position = 0
  for (const { body } of messages) {
    bodies.set(body, position)
    position += body.length
  }
  return { fields, bodies, sizes, transfer: byteCount < clonedBytesMax ? [] : [bodies.buffer] }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

function fieldsOf(message: Message<Uint8Array>, ofTopic: string | undefined): PortMessageFields {
  const { messageId, queueId, offset, tag, keys, messageGroup, properties, bornMs, storedMs, attempt } = message
  const { deliverMs, priority, ttlMs, topic } = message
  const epoch = (message as { readonly epoch?: number }).epoch ?? 0
  const fields: Mutable<PortMessageFields> = { messageId, queueId, epoch, offset, bornMs, storedMs, attempt }
  if (tag !== undefined) fields.tag = tag
  if (keys.length > 0) fields.keys = keys
  if (messageGroup !== undefined) fields.messageGroup = messageGroup
  if (properties.size > 0) fields.properties = properties
  if (deliverMs !== undefined) fields.deliverMs = deliverMs
  if (priority !== undefined) fields.priority = priority
  if (ttlMs !== undefined) fields.ttlMs = ttlMs
  if (topic !== ofTopic) fields.topic = topic
  if ((message as { readonly pending?: boolean }).pending === true) fields.pending = true
  return fields
}
