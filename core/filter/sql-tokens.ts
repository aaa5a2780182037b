// Cuts an SQL92 filter into tokens: names, keywords, numbers, texts and symbols, without blanks and comments. Whatever
// is no token is BAD_FILTER with its column. Knows nothing of the grammar above tokens.

import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import { isExactNumber, parseNumber } from './number-text.ts'

/** Words that mean something, in any case; a property of such a name cannot be asked for. */
export type Keyword =
  | 'AND' | 'OR' | 'NOT' | 'IS' | 'NULL' | 'TRUE' | 'FALSE' | 'BETWEEN' | 'IN' | 'LIKE' | 'ESCAPE' | 'CONTAINS' | 'STARTSWITH'
  | 'ENDSWITH'

interface TokenPlace {
  /** Index in the expression of its first character. */
  readonly start: number
}

export type Token = TokenPlace & (
  | { readonly kind: 'keyword'; readonly text: Keyword }
  /** A text is without its quotes, and quotes in it are single. */
  | { readonly kind: 'name' | 'symbol' | 'text'; readonly text: string }
  | { readonly kind: 'number'; readonly text: string; readonly value: number | bigint }
  | { readonly kind: 'end'; readonly text: '' }
)

const keywords: ReadonlySet<string> = new Set<Keyword>([
  'AND', 'OR', 'NOT', 'IS', 'NULL', 'TRUE', 'FALSE', 'BETWEEN', 'IN', 'LIKE', 'ESCAPE', 'CONTAINS', 'STARTSWITH', 'ENDSWITH',
])

// Each of these matches where it is asked to begin, or not at all, and goes over a character once.
const blankForm = /[ \t-\r]+|--[^\r\n]*/y
const nameForm = /[A-Za-z_$][A-Za-z0-9_$]*/y
const numberForm = /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y
const symbolForm = /<>|<=|>=|[<>=(),+-]/y
const wordForm = /[\w$.]/y
const wholeForm = /^\d+$/
/** In a pattern with the u flag, a surrogate is one without its other half. */
const halfForm = /[\ud800-\udfff]/u

/** A wrong filter: what is wrong at the character with index `at`, told as column `at + 1`. */
export function badFilter(at: number, what: string): PocketError {
  return new PocketError('BAD_FILTER', `column ${at + 1}: ${what}`)
}

/** What an error says that it found. */
export function describeToken(token: Token): string {
  if (token.kind === 'end') return 'the end'
  if (token.kind === 'text') return 'a text'
  return token.text.length <= 32 ? `'${token.text}'` : `'${token.text.slice(0, 32)}…'`
}

/** The tokens of an expression, the last of kind `end`. Throws BAD_FILTER. Takes time linear in the expression. */
export function tokenize(expression: string): Token[] {
  const half = expression.search(halfForm)
  if (half !== -1) throw badFilter(half, 'half a character (a lone surrogate)')
  const tokens: Token[] = []
  let at = skipBlanks(expression, 0)
  while (at < expression.length) {
    at = skipBlanks(expression, readToken(expression, at, tokens))
  }
  tokens.push({ kind: 'end', text: '', start: at })
  return tokens
}

function skipBlanks(expression: string, at: number): number {
  for (;;) {
    if (expression.startsWith('/*', at)) {
      const end = expression.indexOf('*/', at + 2)
      if (end === -1) throw badFilter(at, "the comment has no closing '*/'")
      at = end + 2
      continue
    }
    const blanks = match(blankForm, expression, at)
    if (blanks === undefined) return at
    at += blanks.length
  }
}

/** Appends the token at `start` and gives where it ends. */
function readToken(expression: string, start: number, tokens: Token[]): number {
  if (expression[start] === "'") return readText(expression, start, tokens)
  const name = match(nameForm, expression, start)
  if (name !== undefined) {
    const upper = name.toUpperCase()
    if (keywords.has(upper)) tokens.push({ kind: 'keyword', text: upper as Keyword, start })
    else if (name.length <= fixedLimits.keyBytesMax) tokens.push({ kind: 'name', text: name, start })
    else throw badFilter(start, `a name of ${name.length} characters; at most ${fixedLimits.keyBytesMax} are allowed`)
    return start + name.length
  }
  const number = match(numberForm, expression, start)
  if (number !== undefined) return readNumber(expression, start, number, tokens)
  const symbol = match(symbolForm, expression, start)
  if (symbol !== undefined) {
    tokens.push({ kind: 'symbol', text: symbol, start })
    return start + symbol.length
  }
  throw badFilter(start, describeStranger(expression, start))
}

function readText(expression: string, start: number, tokens: Token[]): number {
  let end = start
  do {
    end = expression.indexOf("'", end + 1)
    if (end === -1) throw badFilter(start, 'the text has no closing quote')
    // Two quotes are one quote of the text.
  } while (expression[end + 1] === "'" && ++end)
  tokens.push({ kind: 'text', text: expression.slice(start + 1, end).replaceAll("''", "'"), start })
  return end + 1
}

function readNumber(expression: string, start: number, text: string, tokens: Token[]): number {
  let end = start + text.length
  const isWhole = wholeForm.test(text)
  // Java's mark of a 64-bit integer, which all whole numbers are here.
  if (isWhole && /[lL]/.test(expression.charAt(end))) end++
  if (match(wordForm, expression, end) !== undefined) throw badFilter(end, `'${expression.charAt(end)}' right behind a number`)
  const value = parseNumber(text)
  if (value === undefined || (isWhole && !isExactNumber(value))) {
    throw badFilter(start, isWhole ? 'a whole number has over 64 bits' : 'a number is too long or too large')
  }
  tokens.push({ kind: 'number', text, value: exactNumber(value), start })
  return end
}

/** One form for each value: `9007199254740992.0` is the same literal as `9007199254740992`. */
function exactNumber(value: number | bigint): number | bigint {
  if (typeof value === 'bigint' || Number.isSafeInteger(value) || !Number.isInteger(value)) return value
  const whole = BigInt(value)
  return isExactNumber(whole) ? whole : value
}

function describeStranger(expression: string, at: number): string {
  if (expression.startsWith('!=', at)) return "'!=' is written '<>' here"
  if (expression[at] === '"') return 'a text stands in single quotes, a name in none'
  const character = String.fromCodePoint(expression.codePointAt(at) as number)
  return `${JSON.stringify(character)} begins neither a name nor a value nor an operator`
}

function match(form: RegExp, expression: string, at: number): string | undefined {
  form.lastIndex = at
  return form.exec(expression)?.[0]
}
