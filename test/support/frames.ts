// Every frame of the wire for tests that speak of all of them: its table entry, its form, arbitrary fields.

import type fc from 'fast-check'
import type { ByteReader, ByteWriter } from '../../core/bytes.ts'
import { concatBytes } from '../../core/bytes.ts'
import { decodeDownstream, decodeUpstream, FrameOutbox } from '../../core/protocol/codec.ts'
import { downstream, type FrameFields, type FrameName, upstream } from '../../core/protocol/frames.ts'
import { type Form, parseForm, valuesOf } from './forms.ts'

export type Direction = 'upstream' | 'downstream'

/** A frame's fields as a test without a particular frame in mind has them. */
export interface AnyFields {
  readonly [field: string]: unknown
}

export interface FrameSpec {
  readonly name: FrameName
  readonly direction: Direction
  readonly type: number
  readonly form: Form & { readonly kind: 'struct' }
  readonly formText: string
  /** The declared field, without a hand-written twin. */
  readonly declared: {
    write(writer: ByteWriter, fields: AnyFields): void
    read(reader: ByteReader): AnyFields
  }
  readonly someFields: fc.Arbitrary<AnyFields>
}

function specsOf(direction: Direction, table: typeof upstream | typeof downstream): FrameSpec[] {
  return Object.entries(table).map(([name, { type, fields }]) => {
    const form = parseForm(fields.form) as FrameSpec['form']
    return {
      name: name as FrameName,
      direction,
      type,
      form,
      formText: fields.form,
      declared: fields as unknown as FrameSpec['declared'],
      someFields: valuesOf(form) as fc.Arbitrary<AnyFields>,
    }
  })
}

export const frameSpecs: readonly FrameSpec[] = [...specsOf('upstream', upstream), ...specsOf('downstream', downstream)]

/** One frame as the bytes of one message, as an outbox makes them. */
export function encodeAny(name: FrameName, fields: AnyFields, payload?: Uint8Array): Uint8Array {
  const outbox = new FrameOutbox()
  outbox.add(name, fields as FrameFields<FrameName>, payload)
  return concatBytes(outbox.take())
}

/** A frame as a test without a particular one in mind has it. */
export interface AnyFrame extends AnyFields {
  readonly name: FrameName
}

/** The frames of one message. */
export function decodeAny(direction: Direction, message: Uint8Array): AnyFrame[] {
  const frames: AnyFrame[] = []
  if (direction === 'upstream') decodeUpstream(message, (frame) => frames.push(frame))
  else decodeDownstream(message, (frame) => frames.push(frame))
  return frames
}
