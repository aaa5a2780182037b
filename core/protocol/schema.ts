// The small language in which frames.ts writes the wire: fields that know how to write and to read themselves.
// Readers are total, through ByteReader. No field allocates before it has checked the length against its frame, and
// none writes what its reader would refuse: that is BAD_ARGUMENT.

import { type ByteReader, type ByteWriter, clipText } from '../bytes.ts'
import { PocketError } from '../errors.ts'

export interface Field<T> {
  write(writer: ByteWriter, value: T): void
  read(reader: ByteReader): T
  /** Bytes it takes at least. A list's count is checked against it. */
  readonly sizeMin: number
  /** How PROTOCOL.md writes it; the pinned hash of the wire is made of these. */
  readonly form: string
}

export type ValueOf<F> = F extends Field<infer T> ? T : never

type Shape = Readonly<Record<string, Field<unknown>>>
type ShapeValue<S> = { readonly [K in keyof S]: S[K] extends Field<infer T> ? T : never }

export const u8: Field<number> = { form: 'u8', sizeMin: 1, write: (w, value) => w.u8(value), read: (r) => r.u8() }
export const u16: Field<number> = { form: 'u16', sizeMin: 2, write: (w, value) => w.u16(value), read: (r) => r.u16() }
export const u32: Field<number> = { form: 'u32', sizeMin: 4, write: (w, value) => w.u32(value), read: (r) => r.u32() }

/** A whole number of at most 53 bits in 1 to 8 bytes. */
export const varint: Field<number> = {
  form: 'varint',
  sizeMin: 1,
  write: (w, value) => w.varint(value),
  read: (r) => r.varint(),
}

/** A whole number of at most 32 bits in 1 to 5 bytes. */
export const varint32: Field<number> = {
  form: 'varint32',
  sizeMin: 1,
  write: (w, value) => {
    if (value > 0xffff_ffff) throw new PocketError('BAD_ARGUMENT', `${value} is over 32 bits`)
    w.varint(value)
  },
  read: (r) => {
    const value = r.varint()
    if (value > 0xffff_ffff) throw new PocketError('BAD_FRAME', `${value} is over 32 bits`)
    return value
  },
}

export const flag: Field<boolean> = {
  form: 'flag',
  sizeMin: 1,
  write: (w, value) => w.u8(value ? 1 : 0),
  read: (r) => {
    const byte = r.u8()
    if (byte > 1) throw new PocketError('BAD_FRAME', `a flag is ${byte}`)
    return byte === 1
  },
}

/** UTF-8 of at most `bytesMax` bytes, behind its length. */
export function text(bytesMax: number): Field<string> {
  return {
    form: `text(${bytesMax})`,
    sizeMin: 1,
    write: (w, value) => w.text(value, bytesMax),
    read: (r) => r.text(bytesMax),
  }
}

/** A text that only people read: what is over `bytesMax` is cut off when it is written. */
export function note(bytesMax: number): Field<string> {
  return {
    form: `note(${bytesMax})`,
    sizeMin: 1,
    write: (w, value) => w.text(clipText(value, bytesMax), bytesMax),
    read: (r) => r.text(bytesMax),
  }
}

/** Exactly `count` bytes. */
export function fixedBytes(count: number): Field<Uint8Array> {
  return {
    form: `bytes[${count}]`,
    sizeMin: count,
    write: (w, value) => {
      if (value.length !== count) throw new PocketError('BAD_ARGUMENT', `${value.length} bytes instead of ${count}`)
      w.raw(value)
    },
    read: (r) => r.raw(count),
  }
}

/** Bytes behind their length; only the frame bounds them. */
export const sizedBytes: Field<Uint8Array> = {
  form: 'sized bytes',
  sizeMin: 1,
  write: (w, value) => w.bytes(value),
  read: (r) => r.bytes(r.remaining),
}

/** All that is left of the frame: stands last. */
export const rest: Field<Uint8Array> = {
  form: 'rest',
  sizeMin: 0,
  write: (w, value) => w.raw(value),
  read: (r) => r.raw(r.remaining),
}

export function list<T>(item: Field<T>, countMax: number): Field<readonly T[]> {
  return {
    form: `list(${item.form}, ${countMax})`,
    sizeMin: 1,
    write(writer, values) {
      if (values.length > countMax) {
        throw new PocketError('BAD_ARGUMENT', `a list of ${values.length} where at most ${countMax} are allowed`)
      }
      writer.varint(values.length)
      for (const value of values) item.write(writer, value)
    },
    read(reader) {
      const values: T[] = []
      for (let count = reader.count(countMax, item.sizeMin); count > 0; count--) values.push(item.read(reader))
      return values
    },
  }
}

/** Absent as one zero byte; else a one before it. */
export function optional<T>(item: Field<T>): Field<T | undefined> {
  return {
    form: `optional(${item.form})`,
    sizeMin: 1,
    write(writer, value) {
      flag.write(writer, value !== undefined)
      if (value !== undefined) item.write(writer, value)
    },
    read: (reader) => (flag.read(reader) ? item.read(reader) : undefined),
  }
}

/** One of a few words, as its index in one byte. Words are only ever added at the end. */
export function oneOf<const W extends string>(...words: readonly W[]): Field<W> {
  return {
    form: `oneOf(${words.join(' ')})`,
    sizeMin: 1,
    write: (w, value) => {
      const index = words.indexOf(value)
      if (index < 0) throw new PocketError('BAD_ARGUMENT', `'${value}' is none of ${words.join(', ')}`)
      w.u8(index)
    },
    read: (r) => {
      const index = r.u8()
      const word = words[index]
      if (word === undefined) throw new PocketError('BAD_FRAME', `a choice is ${index} of ${words.length}`)
      return word
    },
  }
}

/** Named fields, one after the other, nothing between them. */
export function struct<const S extends Shape>(shape: S): Field<ShapeValue<S>> {
  const names = Object.keys(shape)
  const fields = Object.values(shape) as Field<unknown>[]
  return {
    form: `{ ${names.map((name, index) => `${name}: ${fields[index]?.form}`).join(', ')} }`,
    sizeMin: fields.reduce((sum, field) => sum + field.sizeMin, 0),
    write(writer, value) {
      const values = value as Readonly<Record<string, unknown>>
      for (let index = 0; index < fields.length; index++) {
        ;(fields[index] as Field<unknown>).write(writer, values[names[index] as string])
      }
    },
    read(reader) {
      const values: Record<string, unknown> = {}
      for (let index = 0; index < fields.length; index++) {
        values[names[index] as string] = (fields[index] as Field<unknown>).read(reader)
      }
      return values as ShapeValue<S>
    },
  }
}
