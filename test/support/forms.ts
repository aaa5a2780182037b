// Reads the forms in which core/protocol/schema.ts and PROTOCOL.md write fields, and makes arbitrary values of them.
// With it a test speaks of every frame without naming one.

import fc from 'fast-check'
import { textSize } from '../../core/bytes.ts'
import type { StartPolicy } from '../../core/model/position.ts'
import type { RetryPolicy } from '../../core/model/topic.ts'

export type Form =
  | { readonly kind: 'u8' | 'u16' | 'u32' | 'varint' | 'varint32' | 'flag' | 'sized bytes' | 'rest' }
  | { readonly kind: 'text' | 'note' | 'bytes'; readonly bound: number }
  | { readonly kind: 'list'; readonly item: Form; readonly bound: number }
  | { readonly kind: 'optional'; readonly item: Form }
  | { readonly kind: 'oneOf'; readonly words: readonly string[] }
  | { readonly kind: 'choice'; readonly options: readonly FormField[] }
  | { readonly kind: 'struct'; readonly fields: readonly FormField[] }

/** A named part; a choice's option may carry nothing. */
export interface FormField {
  readonly name: string
  readonly form: Form | undefined
}

const plainKinds = ['u8', 'u16', 'u32', 'varint', 'varint32', 'flag', 'sized bytes', 'rest'] as const

/** Reads a form. `names` gives the forms that a document calls by a name of their own. */
export function parseForm(text: string, names: ReadonlyMap<string, Form> = new Map()): Form {
  const parser = new FormParser(text, names)
  const form = parser.form()
  parser.end()
  return form
}

class FormParser {
  readonly #text: string
  readonly #names: ReadonlyMap<string, Form>
  #at = 0

  constructor(text: string, names: ReadonlyMap<string, Form>) {
    this.#text = text
    this.#names = names
  }

  form(): Form {
    if (this.#takes('{')) return { kind: 'struct', fields: this.#fields('}') }
    const word = this.#match(/[a-z][A-Za-z0-9 ]*/y).trim()
    switch (word) {
      case 'text':
      case 'note':
        return { kind: word, bound: this.#bound('(', ')') }
      case 'bytes':
        return { kind: word, bound: this.#bound('[', ']') }
      case 'oneOf': {
        this.#expect('(')
        const words = this.#match(/[^)]+/y).trim().split(' ')
        this.#expect(')')
        return { kind: word, words }
      }
      case 'choice':
        this.#expect('(')
        return { kind: word, options: this.#fields(')') }
      case 'optional': {
        this.#expect('(')
        const item = this.form()
        this.#expect(')')
        return { kind: word, item }
      }
      case 'list': {
        this.#expect('(')
        const item = this.form()
        return { kind: word, item, bound: this.#bound(',', ')') }
      }
      default: {
        const named = this.#names.get(word) ?? plainKinds.filter((kind) => kind === word).map((kind) => ({ kind }))[0]
        if (named === undefined) throw new Error(`'${word}' in '${this.#text}' is no form`)
        return named
      }
    }
  }

  end(): void {
    this.#match(/\s*/y)
    if (this.#at !== this.#text.length) throw new Error(`'${this.#text}' goes on after its form`)
  }

  #fields(close: string): FormField[] {
    const fields: FormField[] = []
    do {
      const name = this.#match(/\s*[A-Za-z]+/y).trim()
      fields.push({ name, form: this.#takes(':') ? this.form() : undefined })
    } while (this.#takes(','))
    this.#expect(close)
    return fields
  }

  #bound(open: string, close: string): number {
    this.#expect(open)
    const bound = Number(this.#match(/\s*[0-9]+/y))
    this.#expect(close)
    return bound
  }

  #takes(sign: string): boolean {
    this.#match(/\s*/y)
    if (!this.#text.startsWith(sign, this.#at)) return false
    this.#at += sign.length
    this.#match(/\s*/y)
    return true
  }

  #expect(sign: string): void {
    if (!this.#takes(sign)) throw new Error(`'${sign}' is missing at ${this.#at} of '${this.#text}'`)
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const match = pattern.exec(this.#text)
    if (match === null) throw new Error(`'${this.#text}' cannot be read at ${this.#at}`)
    this.#at += match[0].length
    return match[0]
  }
}

/** Arbitrary values that a field of this form can carry. Lists are short, bounds are met. */
export function valuesOf(form: Form): fc.Arbitrary<unknown> {
  switch (form.kind) {
    case 'u8':
      return fc.nat(0xff)
    case 'u16':
      return fc.nat(0xffff)
    case 'u32':
    case 'varint32':
      return fc.oneof(fc.nat(300), fc.nat(0xffff_ffff), fc.constant(0xffff_ffff))
    case 'varint':
      return fc.oneof(fc.nat(300), fc.maxSafeNat(), fc.constant(Number.MAX_SAFE_INTEGER))
    case 'flag':
      return fc.boolean()
    case 'text':
    case 'note':
      return fc.oneof(
        fc.string({ maxLength: Math.min(form.bound, 20) }),
        fc.string({ unit: 'binary', maxLength: 20 }).filter((text) => textSize(text) <= form.bound),
        fc.constant('x'.repeat(form.bound)),
      )
    case 'bytes':
      return fc.uint8Array({ minLength: form.bound, maxLength: form.bound })
    case 'sized bytes':
    case 'rest':
      return fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 130, maxLength: 300 }))
    case 'list':
      return fc.array(valuesOf(form.item), { maxLength: Math.min(form.bound, 5) })
    case 'optional':
      return fc.option(valuesOf(form.item), { nil: undefined })
    case 'oneOf':
      return fc.constantFrom(...form.words)
    case 'choice': {
      const values = choices.get(form.options.map(({ name }) => name).join(' '))
      if (values === undefined) throw new Error('a choice that this file does not know')
      return values
    }
    case 'struct':
      return fc.record(
        Object.fromEntries(form.fields.map(({ name, form: field }) => [name, valuesOf(field as Form)])),
        { noNullPrototype: true },
      )
  }
}

const startPolicies: fc.Arbitrary<StartPolicy> = fc.oneof(
  fc.constantFrom<StartPolicy>({ kind: 'earliest' }, { kind: 'latest' }),
  fc.record({ kind: fc.constant('timestamp' as const), timestampMs: fc.maxSafeNat() }, { noNullPrototype: true }),
  fc.record({
    kind: fc.constant('position' as const),
    position: fc.record({ epoch: fc.nat(0xffff_ffff), offset: fc.maxSafeNat() }, { noNullPrototype: true }),
  }, { noNullPrototype: true }),
)

const someDelay = fc.oneof(fc.nat(100_000), fc.maxSafeNat())

const retryPolicies: fc.Arbitrary<RetryPolicy> = fc.oneof(
  fc.record(
    { kind: fc.constant('schedule' as const), delaysMs: fc.array(someDelay, { maxLength: 5 }) },
    { noNullPrototype: true },
  ),
  fc.record(
    { kind: fc.constant('exponential' as const), firstMs: someDelay, factor: someDelay, maxMs: someDelay },
    { noNullPrototype: true },
  ),
)

/** By the names of their options, as what a choice carries has names of its own. */
const choices: ReadonlyMap<string, fc.Arbitrary<unknown>> = new Map<string, fc.Arbitrary<unknown>>([
  ['earliest latest timestamp position', startPolicies],
  ['schedule exponential', retryPolicies],
])
