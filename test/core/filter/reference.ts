// SQL92 filters evaluated slowly and plainly, over decoded texts, straight from the words of the specification; and
// arbitrary filters and messages to compare the real ones with. Shares nothing with core/filter but the tree's type.

import fc from 'fast-check'
import type { SqlNode } from '../../../core/filter/sql-tree.ts'
import type { MessageHeaders } from '../../../core/model/message.ts'

/** What a message says, by the names filters use. */
export type Values = ReadonlyMap<string, string>

/** null is unknown. */
export type TruthValue = boolean | null

export function valuesOf({ tag, keys, properties }: Partial<MessageHeaders>): Values {
  const values = new Map(properties)
  values.delete('TAGS')
  values.delete('KEYS')
  if (tag !== undefined) values.set('TAGS', tag)
  if (keys !== undefined && keys.length > 0) values.set('KEYS', keys.join(' '))
  return values
}

export function referenceTruth(node: SqlNode, values: Values): TruthValue {
  switch (node.kind) {
    case 'or': {
      const terms = node.terms.map((term) => referenceTruth(term, values))
      return terms.includes(true) ? true : terms.includes(null) ? null : false
    }
    case 'and': {
      const terms = node.terms.map((term) => referenceTruth(term, values))
      return terms.includes(false) ? false : terms.includes(null) ? null : true
    }
    case 'not':
      return not(referenceTruth(node.term, values))
    case 'compare': {
      const equal = (): TruthValue => equality(node.left, node.right, values)
      if (node.operator === '=') return equal()
      if (node.operator === '<>') return not(equal())
      return ordering(node.operator, node.left, node.right, values)
    }
    case 'between': {
      const isWithin = referenceTruth({
        kind: 'and',
        terms: [
          { kind: 'compare', operator: '>=', left: node.value, right: node.low },
          { kind: 'compare', operator: '<=', left: node.value, right: node.high },
        ],
      }, values)
      return node.isNegated ? not(isWithin) : isWithin
    }
    case 'in': {
      const isIn = referenceTruth({
        kind: 'or',
        terms: node.members.map((value) => ({
          kind: 'compare', operator: '=', left: { kind: 'property', name: node.name }, right: { kind: 'literal', value },
        })),
      }, values)
      return node.isNegated ? not(isIn) : isIn
    }
    case 'null-test': {
      const isNull = node.value.kind === 'property' ? !values.has(node.value.name) :
        node.value.kind === 'minus' ? numberOf(node.value, values) === null :
          node.value.kind === 'literal' ? node.value.value === null : referenceTruth(node.value, values) === null
      return node.isNegated ? !isNull : isNull
    }
    case 'match': {
      const text = values.get(node.name)
      if (text === undefined) return null
      const isMatch = node.operator === 'CONTAINS' ? text.includes(node.text) :
        node.operator === 'STARTSWITH' ? text.startsWith(node.text) :
          node.operator === 'ENDSWITH' ? text.endsWith(node.text) : isLike(text, node.text, node.escape)
      return isMatch !== node.isNegated
    }
    case 'property': {
      const word = values.get(node.name)?.toLowerCase()
      return word === 'true' ? true : word === 'false' ? false : null
    }
    case 'literal':
      return typeof node.value === 'boolean' ? node.value : null
    case 'minus':
      return null
  }
}

function not(truth: TruthValue): TruthValue {
  return truth === null ? null : !truth
}

function isCondition(node: SqlNode): boolean {
  return !['property', 'literal', 'minus'].includes(node.kind) || (node.kind === 'literal' && typeof node.value === 'boolean')
}

function isNumber(node: SqlNode): boolean {
  return node.kind === 'minus' || (node.kind === 'literal' && (typeof node.value === 'number' || typeof node.value === 'bigint'))
}

function equality(left: SqlNode, right: SqlNode, values: Values): TruthValue {
  if (isCondition(left) || isCondition(right)) {
    const [a, b] = [referenceTruth(left, values), referenceTruth(right, values)]
    return a === null || b === null ? null : a === b
  }
  if (isNumber(left) || isNumber(right)) {
    const [a, b] = [numberOf(left, values), numberOf(right, values)]
    // oxlint-disable-next-line eqeqeq -- a bigint and a number of the same value are the same number
    return a === null || b === null ? null : a == b
  }
  const [a, b] = [textOf(left, values), textOf(right, values)]
  return a === null || b === null ? null : a === b
}

function ordering(operator: '<' | '<=' | '>' | '>=', left: SqlNode, right: SqlNode, values: Values): TruthValue {
  const [a, b] = [numberOf(left, values), numberOf(right, values)]
  if (a === null || b === null) return null
  return { '<': a < b, '<=': a <= b, '>': a > b, '>=': a >= b }[operator]
}

function textOf(node: SqlNode, values: Values): string | null {
  if (node.kind === 'property') return values.get(node.name) ?? null
  return node.kind === 'literal' && typeof node.value === 'string' ? node.value : null
}

function numberOf(node: SqlNode, values: Values): number | bigint | null {
  if (node.kind === 'minus') {
    const value = numberOf(node.value, values)
    return value === null ? null : -value
  }
  if (isNumber(node) && node.kind === 'literal') return node.value as number | bigint
  const text = textOf(node, values)
  return text === null ? null : referenceNumber(text)
}

export function referenceNumber(text: string): number | bigint | null {
  if (text.length > 64 || !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return null
  const digits = text.replace(/^[+-]?0*(?=\d)/, '')
  if (/^\d{1,19}$/.test(digits)) return BigInt(digits) * (text.startsWith('-') ? -1n : 1n)
  return Number.isFinite(Number(text)) ? Number(text) : null
}

/** By trying everything, a character at a time. */
export function isLike(text: string, pattern: string, escape: string | undefined): boolean {
  const characters = [...text]
  const parts: (string | { wildcard: string })[] = []
  const source = [...pattern]
  for (let index = 0; index < source.length; index++) {
    const character = source[index] as string
    if (character === escape) parts.push(source[++index] as string)
    else parts.push(character === '%' || character === '_' ? { wildcard: character } : character)
  }
  const known = new Map<string, boolean>()
  const matchesFrom = (part: number, at: number): boolean => {
    const key = `${part},${at}`
    const before = known.get(key)
    if (before !== undefined) return before
    const wanted = parts[part]
    let result: boolean
    if (wanted === undefined) result = at === characters.length
    else if (typeof wanted === 'string') result = characters[at] === wanted && matchesFrom(part + 1, at + 1)
    else if (wanted.wildcard === '_') result = at < characters.length && matchesFrom(part + 1, at + 1)
    else result = matchesFrom(part + 1, at) || (at < characters.length && matchesFrom(part, at + 1))
    known.set(key, result)
    return result
  }
  return matchesFrom(0, 0)
}

const names = ['a', 'b', 'c', '$d', 'TAGS', 'KEYS', 'Like_', 'e9']
const someName = fc.constantFrom(...names)
const someText = fc.oneof(
  fc.constantFrom('', 'eu', 'true', 'FALSE', 'True', 'k1', 'k1 k2', "it's"),
  fc.constantFrom('10', '10.0', '9', '-3', '+3', '1e1', '.5', '0.5', '1e999'),
  fc.constantFrom(
    '9007199254740993', '9007199254740992.0', '-9223372036854775807', '12345678901234567890', '100000000000000000000',
  ),
  fc.string({ unit: fc.constantFrom('a', 'b', '%', '_', 'ä', '€', '😀', '1', '.', '-', 'e'), maxLength: 5 }),
)
const someNumber: fc.Arbitrary<number | bigint> = fc.oneof(
  fc.integer({ min: -12, max: 12 }),
  fc.constantFrom(0.5, 10, 1e21, 1e-7, -2.25, 9007199254740993n, 9007199254740992n, -9223372036854775807n),
)

/** Messages as a client may send them, of few names and values so that filters find something in them. */
export const someHeaders: fc.Arbitrary<Partial<MessageHeaders>> = fc.record({
  delayMs: fc.nat(1_000_000),
  priority: fc.nat(9),
  ttlMs: fc.integer({ min: 1, max: 1_000_000 }),
  tag: fc.constantFrom('eu', 'paid', '10', 'true', 'ä€'),
  keys: fc.array(fc.constantFrom('k1', 'k2', '10', 'eu'), { maxLength: 3 }),
  messageGroup: fc.constantFrom('a', 'b'.repeat(60)),
  properties: fc.array(fc.tuple(fc.oneof(someName, fc.constantFrom('A', 'aa', 'other', 'like_')), someText), { maxLength: 7 })
    .map((pairs) => new Map(pairs)),
}, { requiredKeys: [] })

const { tree: someTree } = fc.letrec<{ tree: SqlNode; value: SqlNode; ordered: SqlNode; leaf: SqlNode }>((tie) => ({
  value: fc.oneof(
    { weight: 5, arbitrary: someName.map((name): SqlNode => ({ kind: 'property', name })) },
    someText.map((value): SqlNode => ({ kind: 'literal', value })),
    someNumber.map((value): SqlNode => ({ kind: 'literal', value })),
    fc.boolean().map((value): SqlNode => ({ kind: 'literal', value })),
  ),
  ordered: fc.oneof(
    { weight: 4, arbitrary: someName.map((name): SqlNode => ({ kind: 'property', name })) },
    { weight: 3, arbitrary: someNumber.map((value): SqlNode => ({ kind: 'literal', value })) },
    someName.map((name): SqlNode => ({ kind: 'minus', value: { kind: 'property', name } })),
    someName.map((name): SqlNode => ({ kind: 'minus', value: { kind: 'minus', value: { kind: 'property', name } } })),
  ),
  leaf: fc.oneof(
    fc.record({
      kind: fc.constant('compare' as const),
      operator: fc.constantFrom('=' as const, '<>' as const),
      left: tie('value'),
      right: tie('value'),
    }).filter(({ left, right }) => left.kind === 'property' || right.kind === 'property' ||
      isCondition(left) === isCondition(right)),
    fc.record({
      kind: fc.constant('compare' as const),
      operator: fc.constantFrom('<' as const, '<=' as const, '>' as const, '>=' as const),
      left: tie('ordered'),
      right: tie('ordered'),
    }),
    fc.record({
      kind: fc.constant('between' as const), isNegated: fc.boolean(),
      value: tie('ordered'), low: tie('ordered'), high: tie('ordered'),
    }).filter(({ low, high }) => low.kind !== 'literal' || high.kind !== 'literal' ||
      (low.value as number) <= (high.value as number)),
    fc.record({
      kind: fc.constant('in' as const), isNegated: fc.boolean(), name: someName,
      members: fc.array(fc.oneof(someText, someNumber), { minLength: 1, maxLength: 6 }),
    }),
    fc.record({
      kind: fc.constant('null-test' as const), isNegated: fc.boolean(), value: fc.oneof(tie('value'), tie('ordered')),
    }),
    fc.record({
      kind: fc.constant('match' as const),
      operator: fc.constantFrom('CONTAINS' as const, 'STARTSWITH' as const, 'ENDSWITH' as const),
      isNegated: fc.boolean(), name: someName, text: someText.filter((text) => text !== ''), escape: fc.constant(undefined),
    }),
    fc.record({
      kind: fc.constant('match' as const), operator: fc.constant('LIKE' as const), isNegated: fc.boolean(), name: someName,
      text: someText, escape: fc.option(fc.constantFrom('!', '😀'), { nil: undefined }),
    }).map((node) => ({ ...node, text: escaped(node.text, node.escape) })),
    someName.map((name): SqlNode => ({ kind: 'property', name })),
    fc.constantFrom(true, false, null).map((value): SqlNode => ({ kind: 'literal', value })),
  ) as fc.Arbitrary<SqlNode>,
  tree: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    { weight: 3, arbitrary: tie('leaf') },
    fc.record({
      kind: fc.constantFrom('or' as const, 'and' as const), terms: fc.array(tie('tree'), { minLength: 2, maxLength: 3 }),
    }),
    tie('tree').map((term): SqlNode => ({ kind: 'not', term })),
    tie('tree').map((value): SqlNode => ({ kind: 'null-test', isNegated: true, value })),
    fc.tuple(tie('tree'), tie('tree')).filter(([left, right]) => isCondition(left) && isCondition(right)).map(
      ([left, right]): SqlNode => ({ kind: 'compare', operator: '=', left, right }),
    ),
  ),
}))

export { someTree }

/** Each wildcard of which the escape can be one is escaped, so that there are some. */
function escaped(text: string, escape: string | undefined): string {
  if (escape === undefined) return text
  return [...text].map((character, index) =>
    (character === escape || (index % 2 === 0 && '%_'.includes(character)) ? escape + character : character)).join('')
}

/** A filter in a hand of its own: `choices` say where it has more blanks, comments, parentheses and small letters. */
export function writeFreely(tree: SqlNode, choices: readonly number[]): string {
  let chosen = 0
  const choose = (count: number): number => (choices[chosen++ % choices.length] as number) % count
  const blank = (): string => [' ', ' ', '\n', '\t ', ' -- a comment\n', '/* another * / */'][choose(6)] as string
  const word = (text: string): string =>
    [text, text.toLowerCase(), text.slice(0, 1) + text.slice(1).toLowerCase()][choose(3)] as string
  const words = (text: string): string => text.split(' ').map(word).join(blank())
  const literal = (value: string | number | bigint | boolean | null): string => {
    if (value === null || typeof value === 'boolean') return word(String(value).toUpperCase())
    if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`
    const isWhole = typeof value === 'bigint' || (Number.isInteger(value) && Math.abs(value) < 1e15)
    return isWhole ? `${value}${choose(3) === 0 ? 'L' : ''}` : value.toExponential()
  }
  const wrapped = (node: SqlNode): string =>
    (['property', 'literal', 'minus'].includes(node.kind) && choose(4) > 0 ? write(node) : `(${write(node)})`)
  const not = (isNegated: boolean): string => (isNegated ? `${word('NOT')}${blank()}` : '')
  const write = (node: SqlNode): string => {
    switch (node.kind) {
      case 'or':
      case 'and':
        return node.terms.map(wrapped).join(`${blank()}${word(node.kind.toUpperCase())}${blank()}`)
      case 'not':
        return `${word('NOT')}${blank()}${wrapped(node.term)}`
      case 'compare':
        return `${wrapped(node.left)}${choose(2) === 0 ? ' ' : ''}${node.operator}${blank()}${wrapped(node.right)}`
      case 'between':
        return [
          wrapped(node.value), not(node.isNegated) + word('BETWEEN'), wrapped(node.low), word('AND'), wrapped(node.high),
        ].join(blank())
      case 'in':
        return `${node.name} ${not(node.isNegated)}${word('IN')}${blank()}(${node.members.map(literal).join(`,${blank()}`)})`
      case 'null-test':
        return `${wrapped(node.value)}${blank()}${words(node.isNegated ? 'IS NOT NULL' : 'IS NULL')}`
      case 'match':
        return `${node.name}${blank()}${not(node.isNegated)}${word(node.operator)}${blank()}${literal(node.text)}` +
          (node.escape === undefined ? '' : ` ${word('ESCAPE')} ${literal(node.escape)}`)
      case 'property':
        return choose(8) === 0 ? `(${node.name})` : node.name
      case 'literal':
        return (typeof node.value === 'number' && node.value > 0 && choose(6) === 0 ? '+' : '') + literal(node.value)
      case 'minus':
        return `- ${wrapped(node.value)}`
    }
  }
  return write(tree)
}
