// Reads an SQL92 filter into a tree, by recursive descent over its tokens:
//
//   condition  = conjunction {OR conjunction}           conjunction = negation {AND negation}
//   negation   = NOT negation | predicate
//   predicate  = operand [(= | <> | < | <= | > | >=) operand | IS [NOT] NULL | [NOT] BETWEEN operand AND operand
//              | [NOT] IN (member {, member}) | [NOT] LIKE text [ESCAPE text] | [NOT] (CONTAINS | STARTSWITH | ENDSWITH) text]
//   operand    = (+ | -) operand | number | text | TRUE | FALSE | NULL | name | "(" condition ")"
//
// It is bounded in bytes, nodes, depth, members and patterns, and tells with a column what it expected.

import { textToBytes } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import { type Comparison, formatLiteral, formatSql, type SqlNode, type SqlType, type TextMatch, typeOf } from './sql-tree.ts'
import { badFilter, describeToken, type Keyword, type Token, tokenize } from './sql-tokens.ts'
import { likePartsOf } from './text-pattern.ts'

const { filterBytesMax, filterNodeCountMax, filterDepthMax, filterMemberCountMax, filterPatternBytesMax } = fixedLimits

const comparisons: ReadonlySet<string> = new Set<Comparison>(['=', '<>', '<', '<=', '>', '>='])
const orderings: ReadonlySet<string> = new Set<Comparison>(['<', '<=', '>', '>='])
const textMatches: ReadonlySet<string> = new Set<TextMatch>(['LIKE', 'CONTAINS', 'STARTSWITH', 'ENDSWITH'])

const typeNames: Readonly<Record<SqlType, string>> = {
  property: 'a property', number: 'a number', text: 'a text', truth: 'a condition', null: 'NULL',
}

/**
 * The tree of an expression and its normal form, which has the same tree. Throws BAD_FILTER with the column (from 1, in
 * UTF-16 units) of what is wrong.
 */
export function parseSql(expression: string): { readonly tree: SqlNode; readonly normalForm: string } {
  checkSize(expression, '')
  const tree = new SqlParser(tokenize(expression)).parse()
  const normalForm = formatSql(tree)
  checkSize(normalForm, ' in its normal form')
  return { tree, normalForm }
}

function checkSize(expression: string, when: string): void {
  // A character is at least a byte, so what is too long anyhow is not encoded first.
  if (expression.length <= filterBytesMax && textToBytes(expression).length <= filterBytesMax) return
  throw new PocketError('BAD_FILTER', `the filter is over ${filterBytesMax} bytes${when}`)
}

class SqlParser {
  readonly #tokens: readonly Token[]
  #position = 0
  #nodeCount = 0
  #depth = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  parse(): SqlNode {
    const tree = this.#condition()
    checkTruth(tree, 0)
    if (this.#token.kind !== 'end') throw this.#expected('AND, OR or the end')
    return tree
  }

  #condition(): SqlNode {
    return this.#junction('or', 'OR', () => this.#junction('and', 'AND', () => this.#negation()))
  }

  /** One term is what it is, which in parentheses may be a value; several are conditions. */
  #junction(kind: 'or' | 'and', keyword: Keyword, readTerm: () => SqlNode): SqlNode {
    let at = this.#token.start
    const first = readTerm()
    if (!this.#isKeyword(keyword)) return first
    checkTruth(first, at)
    const place = this.#token.start
    const terms = termsOf(kind, first)
    while (this.#takeKeyword(keyword)) {
      at = this.#token.start
      const term = readTerm()
      checkTruth(term, at)
      terms.push(...termsOf(kind, term))
    }
    return this.#node({ kind, terms }, place)
  }

  #negation(): SqlNode {
    const place = this.#token.start
    if (!this.#takeKeyword('NOT')) return this.#predicate()
    this.#enter(place)
    const at = this.#token.start
    const term = this.#negation()
    checkTruth(term, at)
    this.#depth--
    return this.#node({ kind: 'not', term }, place)
  }

  #predicate(): SqlNode {
    const at = this.#token.start
    const left = this.#operand()
    const place = this.#token.start
    const { kind, text } = this.#token
    if (kind === 'symbol' && comparisons.has(text)) return this.#comparison(left, at)
    if (this.#takeKeyword('IS')) {
      const isNegated = this.#takeKeyword('NOT')
      this.#expectKeyword('NULL', isNegated ? 'NULL' : 'NULL or NOT NULL')
      return this.#node({ kind: 'null-test', isNegated, value: left }, place)
    }
    const isNegated = this.#takeKeyword('NOT')
    if (this.#takeKeyword('BETWEEN')) return this.#between(left, at, isNegated, place)
    if (this.#takeKeyword('IN')) {
      const name = propertyName(left, at, 'IN')
      return this.#node({ kind: 'in', isNegated, name, members: this.#members() }, place)
    }
    const { kind: matchKind, text: operator } = this.#token
    if (matchKind === 'keyword' && textMatches.has(operator)) {
      this.#position++
      return this.#match(propertyName(left, at, operator), operator as TextMatch, isNegated, place)
    }
    if (isNegated) throw this.#expected('BETWEEN, IN, LIKE, CONTAINS, STARTSWITH or ENDSWITH')
    return left
  }

  #comparison(left: SqlNode, leftAt: number): SqlNode {
    const place = this.#token.start
    const operator = this.#take().text as Comparison
    const rightAt = this.#token.start
    const right = this.#operand()
    if (orderings.has(operator)) {
      checkOrdered(left, leftAt)
      checkOrdered(right, rightAt)
    } else checkEquatable(left, leftAt, right, rightAt)
    return this.#node({ kind: 'compare', operator, left, right }, place)
  }

  #between(value: SqlNode, at: number, isNegated: boolean, place: number): SqlNode {
    checkOrdered(value, at)
    const lowAt = this.#token.start
    const low = this.#operand()
    checkOrdered(low, lowAt)
    this.#expectKeyword('AND', "AND and BETWEEN's upper bound")
    const highAt = this.#token.start
    const high = this.#operand()
    checkOrdered(high, highAt)
    // As RocketMQ: what can never be is a mistake. NOT BETWEEN may be so, it is then always true.
    if (!isNegated && low.kind === 'literal' && high.kind === 'literal' && (low.value as number) > (high.value as number)) {
      throw badFilter(lowAt, `BETWEEN ${formatLiteral(low.value)} AND ${formatLiteral(high.value)}: the lower bound is higher`)
    }
    return this.#node({ kind: 'between', isNegated, value, low, high }, place)
  }

  #members(): (string | number | bigint)[] {
    this.#expectSymbol('(')
    const membersByText = new Map<string, string | number | bigint>()
    let count = 0
    do {
      if (++count > filterMemberCountMax) {
        throw badFilter(this.#token.start, `over ${filterMemberCountMax} members of IN; no more are allowed`)
      }
      const member = this.#member()
      membersByText.set(formatLiteral(member), member)
    } while (this.#takeSymbol(','))
    this.#expectSymbol(')', "',' or ')'")
    return [...membersByText.values()].sort(compareMembers)
  }

  #member(): string | number | bigint {
    const sign = this.#takeSymbol('-') ? '-' : this.#takeSymbol('+') ? '+' : ''
    const token = this.#token
    if (token.kind === 'number') {
      this.#position++
      return sign === '-' ? negated(token.value) : token.value
    }
    if (sign !== '' || token.kind !== 'text') throw this.#expected(sign === '' ? 'a text or a number' : 'a number')
    this.#position++
    return token.text
  }

  #match(name: string, operator: TextMatch, isNegated: boolean, place: number): SqlNode {
    const textAt = this.#token.start
    const text = this.#text('a text')
    const size = textToBytes(text).length
    if (size > filterPatternBytesMax) {
      throw badFilter(textAt, `a text of ${size} bytes behind ${operator}; at most ${filterPatternBytesMax} are allowed`)
    }
    // Neither nothing nor everything is what the writer means, and RocketMQ's answer (nothing, even with NOT) is no help.
    if (text === '' && operator !== 'LIKE') throw badFilter(textAt, `an empty text behind ${operator}`)
    let escape: string | undefined
    if (operator === 'LIKE' && this.#takeKeyword('ESCAPE')) {
      const escapeAt = this.#token.start
      escape = this.#text('a text of one character')
      if ([...escape].length !== 1) throw badFilter(escapeAt, 'ESCAPE needs a text of one character')
    }
    if (operator === 'LIKE') likePartsOf(text, escape, (index) => wrongEscape(text, index, textAt))
    return this.#node({ kind: 'match', operator, isNegated, name, text, escape }, place)
  }

  #text(what: string): string {
    if (this.#token.kind !== 'text') throw this.#expected(what)
    return this.#take().text
  }

  #operand(): SqlNode {
    const token = this.#token
    const place = token.start
    switch (token.kind) {
      case 'number':
        this.#position++
        return this.#node({ kind: 'literal', value: token.value }, place)
      case 'text':
        this.#position++
        return this.#node({ kind: 'literal', value: token.text }, place)
      case 'name':
        this.#position++
        return this.#node({ kind: 'property', name: token.text }, place)
      case 'keyword':
        if (token.text !== 'TRUE' && token.text !== 'FALSE' && token.text !== 'NULL') break
        this.#position++
        return this.#node({ kind: 'literal', value: token.text === 'NULL' ? null : token.text === 'TRUE' }, place)
      case 'symbol':
        if (token.text === '(') return this.#parentheses()
        if (token.text === '+' || token.text === '-') return this.#signed(token.text)
    }
    throw this.#expected('a property or a value')
  }

  #parentheses(): SqlNode {
    this.#enter(this.#token.start)
    this.#position++
    const inner = this.#condition()
    if (!this.#takeSymbol(')')) throw this.#expected("AND, OR or ')'")
    this.#depth--
    return inner
  }

  #signed(sign: '+' | '-'): SqlNode {
    const place = this.#token.start
    this.#enter(place)
    this.#position++
    const at = this.#token.start
    const value = this.#operand()
    const type = typeOf(value)
    if (type !== 'number' && type !== 'property') {
      throw badFilter(at, `expected a number or a property behind '${sign}', found ${typeNames[type]}`)
    }
    this.#depth--
    if (sign === '+') return value
    if (value.kind === 'literal') return { kind: 'literal', value: negated(value.value as number | bigint) }
    return this.#node({ kind: 'minus', value }, place)
  }

  get #token(): Token {
    return this.#tokens[this.#position] as Token
  }

  #take(): Token {
    return this.#tokens[this.#position++] as Token
  }

  #isKeyword(keyword: Keyword): boolean {
    return this.#token.kind === 'keyword' && this.#token.text === keyword
  }

  #takeKeyword(keyword: Keyword): boolean {
    if (!this.#isKeyword(keyword)) return false
    this.#position++
    return true
  }

  #takeSymbol(symbol: string): boolean {
    if (this.#token.kind !== 'symbol' || this.#token.text !== symbol) return false
    this.#position++
    return true
  }

  #expectKeyword(keyword: Keyword, what: string): void {
    if (!this.#takeKeyword(keyword)) throw this.#expected(what)
  }

  #expectSymbol(symbol: string, what = `'${symbol}'`): void {
    if (!this.#takeSymbol(symbol)) throw this.#expected(what)
  }

  #expected(what: string): PocketError {
    return badFilter(this.#token.start, `expected ${what}, found ${describeToken(this.#token)}`)
  }

  #node(node: SqlNode, place: number): SqlNode {
    if (++this.#nodeCount > filterNodeCountMax) {
      throw badFilter(place, `the filter has over ${filterNodeCountMax} parts (properties, values, operators)`)
    }
    return node
  }

  /** One level deeper: the recursion, and that of all who walk the tree, is bounded by this. */
  #enter(place: number): void {
    if (++this.#depth > filterDepthMax) {
      throw badFilter(place, `parentheses, NOT and signs are nested over ${filterDepthMax} deep`)
    }
  }
}

/** `(a OR b) OR c` is `a OR b OR c`. */
function termsOf(kind: 'or' | 'and', node: SqlNode): SqlNode[] {
  return node.kind === kind ? [...node.terms] : [node]
}

/** A property may hold a truth value, and NULL is the unknown one. */
function checkTruth(node: SqlNode, at: number): void {
  const type = typeOf(node)
  if (type !== 'number' && type !== 'text') return
  throw badFilter(at, `expected a condition, found ${typeNames[type]} that is compared with nothing`)
}

function checkOrdered(node: SqlNode, at: number): void {
  const type = typeOf(node)
  if (type === 'number' || type === 'property') return
  throw badFilter(at, `expected a number or a property, found ${typeNames[type]}; only numbers have an order`)
}

function checkEquatable(left: SqlNode, leftAt: number, right: SqlNode, rightAt: number): void {
  const [leftType, rightType] = [typeOf(left), typeOf(right)]
  if (leftType === 'null' || rightType === 'null') {
    throw badFilter(leftType === 'null' ? leftAt : rightAt, 'NULL equals nothing; write IS NULL or IS NOT NULL')
  }
  if (leftType === rightType || leftType === 'property' || rightType === 'property') return
  if (leftType !== 'truth' && rightType !== 'truth') return
  throw badFilter(rightAt, `${typeNames[leftType]} and ${typeNames[rightType]} are never equal`)
}

function propertyName(node: SqlNode, at: number, operator: string): string {
  if (node.kind === 'property') return node.name
  throw badFilter(at, `expected a property before ${operator}, found ${typeNames[typeOf(node)]}`)
}

function wrongEscape(text: string, index: number, textAt: number): PocketError {
  // Behind the opening quote, and each quote in the text is written twice.
  const at = textAt + 1 + index + (text.slice(0, index).split("'").length - 1)
  return badFilter(at, "ESCAPE's character stands before neither '%' nor '_' nor itself")
}

function negated(value: number | bigint): number | bigint {
  // There is one zero.
  return value === 0 ? value : -value
}

function compareMembers(left: string | number | bigint, right: string | number | bigint): number {
  if (typeof left === typeof right || (typeof left !== 'string' && typeof right !== 'string')) {
    return left < right ? -1 : left > right ? 1 : 0
  }
  return typeof left === 'string' ? 1 : -1
}
