// Makes closures of an SQL92 filter's tree. They look at fields that were found in a message before, as bytes; a number
// is read where one is compared, a text is never made. One evaluation is linear in the filter times the message's
// headers: there is nothing in it that could take longer, and so no budget of steps.

import { textToBytes } from '../bytes.ts'
import type { Field, MessageFields } from './message-fields.ts'
import { numberAt, parseNumber } from './number-text.ts'
import { type Comparison, type SqlNode, typeOf } from './sql-tree.ts'
import { hasBytesAt, likeMatcher, type LikePart, likePartsOf, type TextMatcher } from './text-pattern.ts'

/** Three truth values in their order: AND is the least of its terms, OR the greatest, NOT is `yes - value`. */
export type Truth = 0 | 1 | 2
export const no = 0
export const unknown = 1
export const yes = 2

type TruthOf = () => Truth
/** NaN where it is no number, which makes every comparison false. */
type NumberOf = () => number | bigint

/** What the tree says of the message that `fields` were last pointed into; they are asked for here. */
export function compileSql(tree: SqlNode, fields: MessageFields): TruthOf {
  return new SqlCompiler(fields).truth(tree)
}

class SqlCompiler {
  readonly #fields: MessageFields

  constructor(fields: MessageFields) {
    this.#fields = fields
  }

  truth(node: SqlNode): TruthOf {
    switch (node.kind) {
      case 'or':
        return anyOf(node.terms.map((term) => this.truth(term)))
      case 'and':
        return allOf(node.terms.map((term) => this.truth(term)))
      case 'not':
        return negation(this.truth(node.term))
      case 'compare':
        return this.#compare(node.operator, node.left, node.right)
      case 'between':
        return negatedIf(node.isNegated, between(this.#number(node.value), this.#number(node.low), this.#number(node.high)))
      case 'in':
        return negatedIf(node.isNegated, isMember(this.#fields.field(node.name), node.members))
      case 'null-test':
        return negatedIf(node.isNegated, this.#isNull(node.value))
      case 'match':
        return negatedIf(node.isNegated, matches(this.#fields.field(node.name), matcherOf(node)))
      case 'property':
        return truthOfField(this.#fields.field(node.name))
      case 'literal':
        return constant(node.value === null ? unknown : node.value === true ? yes : no)
      case 'minus':
        // A number is no condition; the parser lets none stand for one.
        return constant(unknown)
    }
  }

  #compare(operator: Comparison, left: SqlNode, right: SqlNode): TruthOf {
    switch (operator) {
      case '=':
        return this.#equal(left, right)
      case '<>':
        return negation(this.#equal(left, right))
      case '>':
        return isGreater(this.#number(left), this.#number(right))
      case '<':
        return isGreater(this.#number(right), this.#number(left))
      case '>=':
        return negation(isGreater(this.#number(right), this.#number(left)))
      case '<=':
        return negation(isGreater(this.#number(left), this.#number(right)))
    }
  }

  /** A property is compared as what stands opposite it; two of them, as texts. */
  #equal(left: SqlNode, right: SqlNode): TruthOf {
    const types = [typeOf(left), typeOf(right)]
    if (types.includes('truth')) return isSameTruth(this.truth(left), this.truth(right))
    if (types.includes('number')) return isSameNumber(this.#number(left), this.#number(right))
    if (left.kind === 'property' && right.kind === 'property') {
      return isSameText(this.#fields.field(left.name), this.#fields.field(right.name))
    }
    if (left.kind === 'property') return isText(this.#fields.field(left.name), textOf(right))
    if (right.kind === 'property') return isText(this.#fields.field(right.name), textOf(left))
    return constant(textOf(left) === textOf(right) ? yes : no)
  }

  #isNull(node: SqlNode): TruthOf {
    if (node.kind === 'property') {
      const field = this.#fields.field(node.name)
      return () => (field.start < 0 ? yes : no)
    }
    if (node.kind === 'literal') return constant(node.value === null ? yes : no)
    if (node.kind === 'minus') {
      const number = this.#number(node)
      return () => (Number.isNaN(number()) ? yes : no)
    }
    const truth = this.truth(node)
    return () => (truth() === unknown ? yes : no)
  }

  #number(node: SqlNode): NumberOf {
    if (node.kind === 'property') {
      const field = this.#fields.field(node.name)
      return () => (field.start < 0 ? Number.NaN : numberAt(field.source, field.start, field.end))
    }
    if (node.kind === 'minus') {
      const number = this.#number(node.value)
      return () => -number()
    }
    const value = node.kind === 'literal' ? node.value : null
    const number = typeof value === 'string' ? parseNumber(value) : typeof value === 'boolean' ? null : value
    return () => number ?? Number.NaN
  }
}

function constant(value: Truth): TruthOf {
  return () => value
}

function allOf(terms: readonly TruthOf[]): TruthOf {
  return () => {
    let least: Truth = yes
    for (let index = 0; index < terms.length; index++) {
      const truth = (terms[index] as TruthOf)()
      if (truth === no) return no
      if (truth < least) least = truth
    }
    return least
  }
}

function anyOf(terms: readonly TruthOf[]): TruthOf {
  return () => {
    let greatest: Truth = no
    for (let index = 0; index < terms.length; index++) {
      const truth = (terms[index] as TruthOf)()
      if (truth === yes) return yes
      if (truth > greatest) greatest = truth
    }
    return greatest
  }
}

function negation(term: TruthOf): TruthOf {
  return () => (yes - term()) as Truth
}

function negatedIf(isNegated: boolean, term: TruthOf): TruthOf {
  return isNegated ? negation(term) : term
}

function isGreater(left: NumberOf, right: NumberOf): TruthOf {
  return () => {
    const [a, b] = [left(), right()]
    return a > b ? yes : a <= b ? no : unknown
  }
}

function isSameNumber(left: NumberOf, right: NumberOf): TruthOf {
  return () => sameNumber(left(), right())
}

/** `===` would tell a bigint and the double of the same value apart. */
function sameNumber(left: number | bigint, right: number | bigint): Truth {
  if (left > right) return no
  return left >= right ? yes : left < right ? no : unknown
}

function between(value: NumberOf, low: NumberOf, high: NumberOf): TruthOf {
  return () => {
    const [number, least, most] = [value(), low(), high()]
    if (number < least || number > most) return no
    return number >= least && number <= most ? yes : unknown
  }
}

function isSameTruth(left: TruthOf, right: TruthOf): TruthOf {
  return () => {
    const [a, b] = [left(), right()]
    return a === unknown || b === unknown ? unknown : a === b ? yes : no
  }
}

function isText(field: Field, text: string): TruthOf {
  const bytes = textToBytes(text)
  return () => (field.start < 0 ? unknown : hasText(field, bytes) ? yes : no)
}

function isSameText(left: Field, right: Field): TruthOf {
  return () => {
    if (left.start < 0 || right.start < 0) return unknown
    const size = right.end - right.start
    if (left.end - left.start !== size) return no
    for (let index = 0; index < size; index++) {
      if (left.source[left.start + index] !== right.source[right.start + index]) return no
    }
    return yes
  }
}

function hasText(field: Field, bytes: Uint8Array): boolean {
  return field.end - field.start === bytes.length && hasBytesAt(field.source, field.start, bytes)
}

/** `IN (x, y)` is `= x OR = y`. */
function isMember(field: Field, members: readonly (string | number | bigint)[]): TruthOf {
  const texts = members.filter((member) => typeof member === 'string').map(textToBytes)
  const numbers = members.filter((member) => typeof member !== 'string')
  return () => {
    if (field.start < 0) return unknown
    for (let index = 0; index < texts.length; index++) {
      if (hasText(field, texts[index] as Uint8Array)) return yes
    }
    if (numbers.length === 0) return no
    const value = numberAt(field.source, field.start, field.end)
    if (Number.isNaN(value)) return unknown
    for (let index = 0; index < numbers.length; index++) {
      if (sameNumber(value, numbers[index] as number | bigint) === yes) return yes
    }
    return no
  }
}

function matches(field: Field, matcher: TextMatcher): TruthOf {
  return () => (field.start < 0 ? unknown : matcher(field.source, field.start, field.end) ? yes : no)
}

function matcherOf(node: SqlNode & { readonly kind: 'match' }): TextMatcher {
  const any: LikePart = { kind: 'any' }
  const text: LikePart = { kind: 'text', text: node.text }
  switch (node.operator) {
    case 'CONTAINS':
      return likeMatcher([any, text, any])
    case 'STARTSWITH':
      return likeMatcher([text, any])
    case 'ENDSWITH':
      return likeMatcher([any, text])
    case 'LIKE':
      // The parser found its escapes to be right.
      return likeMatcher(likePartsOf(node.text, node.escape, (index) => new RangeError(`an escape at ${index}`)))
  }
}

/** A property as a truth value: `true` and `false` in any case, as in Java; any other text is none. */
function truthOfField(field: Field): TruthOf {
  const [trueBytes, falseBytes] = [textToBytes('true'), textToBytes('false')]
  return () => {
    if (field.start < 0) return unknown
    return hasWord(field, trueBytes) ? yes : hasWord(field, falseBytes) ? no : unknown
  }
}

function hasWord({ source, start, end }: Field, lowerCase: Uint8Array): boolean {
  if (end - start !== lowerCase.length) return false
  for (let index = 0; index < lowerCase.length; index++) {
    // The bit that ASCII's small letters have and large ones have not.
    if (((source[start + index] as number) | 0x20) !== lowerCase[index]) return false
  }
  return true
}

function textOf(node: SqlNode): string {
  return node.kind === 'literal' && typeof node.value === 'string' ? node.value : ''
}
