// An SQL92 filter as a tree, and the tree as text in normal form. A tree is what the parser lets through: the types of
// its operands fit, and its size is bounded.

export type Comparison = '=' | '<>' | '<' | '<=' | '>' | '>='
export type TextMatch = 'LIKE' | 'CONTAINS' | 'STARTSWITH' | 'ENDSWITH'

export type SqlNode =
  /** Two terms at least, none of them of the same kind. */
  | { readonly kind: 'or' | 'and'; readonly terms: readonly SqlNode[] }
  | { readonly kind: 'not'; readonly term: SqlNode }
  | { readonly kind: 'compare'; readonly operator: Comparison; readonly left: SqlNode; readonly right: SqlNode }
  | {
    readonly kind: 'between'
    readonly isNegated: boolean
    readonly value: SqlNode
    readonly low: SqlNode
    readonly high: SqlNode
  }
  /** Members are numbers in ascending order, then texts in that of their code units, without repeats. */
  | {
    readonly kind: 'in'
    readonly isNegated: boolean
    readonly name: string
    readonly members: readonly (string | number | bigint)[]
  }
  | { readonly kind: 'null-test'; readonly isNegated: boolean; readonly value: SqlNode }
  | {
    readonly kind: 'match'
    readonly operator: TextMatch
    readonly isNegated: boolean
    readonly name: string
    readonly text: string
    /** One character, only with LIKE. */
    readonly escape: string | undefined
  }
  | { readonly kind: 'property'; readonly name: string }
  | { readonly kind: 'literal'; readonly value: string | number | bigint | boolean | null }
  /** Of a property, or of another one; a number with a sign is a literal. */
  | { readonly kind: 'minus'; readonly value: SqlNode }

/** What an expression is before any message is seen; a property may be any of text, number and truth value. */
export type SqlType = 'property' | 'number' | 'text' | 'truth' | 'null'

export function typeOf(node: SqlNode): SqlType {
  switch (node.kind) {
    case 'property':
      return 'property'
    case 'minus':
      return 'number'
    case 'literal':
      if (node.value === null) return 'null'
      if (typeof node.value === 'string') return 'text'
      return typeof node.value === 'boolean' ? 'truth' : 'number'
    default:
      return 'truth'
  }
}

// How tightly a node holds together: it stands in parentheses inside of one that holds tighter.
const orRank = 0
const andRank = 1
const notRank = 2
const predicateRank = 3
const operandRank = 4

/** The normal form: reading it again gives the same tree. Keywords are large, blanks single, parentheses where needed. */
export function formatSql(node: SqlNode): string {
  switch (node.kind) {
    case 'or':
      return node.terms.map((term) => within(term, andRank)).join(' OR ')
    case 'and':
      return node.terms.map((term) => within(term, notRank)).join(' AND ')
    case 'not':
      return `NOT ${within(node.term, notRank)}`
    case 'compare':
      return `${operand(node.left)} ${node.operator} ${operand(node.right)}`
    case 'between':
      return `${operand(node.value)} ${negation(node)}BETWEEN ${operand(node.low)} AND ${operand(node.high)}`
    case 'in':
      return `${node.name} ${negation(node)}IN (${node.members.map(formatLiteral).join(', ')})`
    case 'null-test':
      return `${operand(node.value)} IS ${negation(node)}NULL`
    case 'match': {
      const escape = node.escape === undefined ? '' : ` ESCAPE ${formatLiteral(node.escape)}`
      return `${node.name} ${negation(node)}${node.operator} ${formatLiteral(node.text)}${escape}`
    }
    case 'property':
      return node.name
    case 'literal':
      return formatLiteral(node.value)
    case 'minus':
      // Two in a row begin a comment.
      return node.value.kind === 'minus' ? `- ${operand(node.value)}` : `-${operand(node.value)}`
  }
}

function operand(node: SqlNode): string {
  return within(node, operandRank)
}

function within(node: SqlNode, rankMin: number): string {
  const text = formatSql(node)
  return rankOf(node) < rankMin ? `(${text})` : text
}

function rankOf(node: SqlNode): number {
  switch (node.kind) {
    case 'or':
      return orRank
    case 'and':
      return andRank
    case 'not':
      return notRank
    case 'property':
    case 'literal':
    case 'minus':
      return operandRank
    default:
      return predicateRank
  }
}

function negation(node: { readonly isNegated: boolean }): string {
  return node.isNegated ? 'NOT ' : ''
}

/** A literal as it is read again: whole numbers that are no safe integers have an exponent unless they are exact. */
export function formatLiteral(value: string | number | bigint | boolean | null): string {
  if (value === null) return 'NULL'
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`
  if (typeof value === 'boolean') return value ? 'TRUE' : 'FALSE'
  if (typeof value === 'bigint' || Number.isSafeInteger(value) || !Number.isInteger(value)) return String(value)
  return value.toExponential()
}
