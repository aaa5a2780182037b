// Filters as an application says them, checked as far as the client can: tags at once and whole, SQL92 only for its
// size. Its parser is the relay's, which refuses at subscribe what is none; the client goes into pages and stays small.

import { textSize } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import type { FilterKind } from '../filter/message-filter.ts'
import { fixedLimits } from '../limits.ts'
import { parseTagFilter } from '../model/filter.ts'
import type { Filter } from './api.ts'

export interface ClientFilter {
  readonly filterKind: FilterKind
  readonly expression: string
  /** Tags that pass; undefined where the relay alone decides. */
  readonly tags: ReadonlySet<string> | undefined
}

/** Throws BAD_FILTER where it is none. */
export function filterOf(filter: Filter = '*'): ClientFilter {
  if (typeof filter === 'string') return { filterKind: 'TAG', ...parseTagFilter(filter) }
  const sql: unknown = (filter as { readonly sql?: unknown } | null)?.sql
  if (typeof sql !== 'string' || sql.trim() === '') {
    throw new PocketError('BAD_FILTER', 'a filter is tags joined by ||, or { sql } with an expression')
  }
  const { filterBytesMax } = fixedLimits
  if (sql.length > filterBytesMax || textSize(sql) > filterBytesMax) {
    throw new PocketError('BAD_FILTER', `the filter is over ${filterBytesMax} bytes`)
  }
  return { filterKind: 'SQL92', expression: sql, tags: undefined }
}
