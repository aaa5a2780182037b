// The filter of a subscription, whichever language it is written in: decided at the broker for pull, push, pop, live and
// replay alike, from the bytes of a record. The door of this room.

import { type TagFilter, parseTagFilter } from '../model/filter.ts'
import type { RecordBatch } from '../record/record-batch.ts'
import { MessageFields } from './message-fields.ts'
import { compileSql, yes } from './sql-compiler.ts'
import { parseSql } from './sql-parser.ts'

export type FilterKind = 'TAG' | 'SQL92'

export interface MessageFilter {
  readonly kind: FilterKind
  /** In normal form; filters of a kind that say the same, but for blanks, comments, case and parentheses, have the same. */
  readonly expression: string
  /** Whether all messages pass, so that none needs to be looked at. */
  readonly passesAll: boolean
  /**
   * Whether the message at `index` of the record passes. Tag filters compare hashes only: who has the text compares it
   * again. A message that cannot be read does not pass; nothing of a record makes it throw.
   */
  accepts(record: RecordBatch, index: number): boolean
}

export const everyMessage: MessageFilter = { kind: 'TAG', expression: '*', passesAll: true, accepts: () => true }

/**
 * Reads a filter and makes it ready to be asked. Throws BAD_FILTER where it is none or is over a bound, with the column
 * (from 1) of what is wrong. Nothing at all is a tag filter that lets everything pass, but no SQL92 filter.
 *
 * SQL92 has three truth values, and a message passes only where the whole filter is TRUE:
 *
 * - A property that the message does not have is NULL; an empty text is not. TAGS is the tag, KEYS the keys joined by
 *   blanks, never properties of these names.
 * - What is compared with NULL is unknown, and so is what cannot be compared: with a number, a text that is none; by
 *   order, two properties unless both are numbers; with a truth value (or alone as a condition), a text other than true
 *   and false, in any case. None of this is an error, nor drops the message by itself: `a > 5 OR b = 'x'` passes where b
 *   is x, whatever a is.
 * - NOT unknown is unknown. AND is FALSE where one term is, else unknown where one is; OR is TRUE where one term is, else
 *   unknown where one is. BETWEEN and IN are the AND and OR of the comparisons they stand for, and NOT is NOT of that.
 * - Only IS NULL and IS NOT NULL are never unknown; of a condition in parentheses they ask whether it is unknown.
 */
export function parseFilter(kind: FilterKind, expression: string): MessageFilter {
  return kind === 'TAG' ? tagFilter(parseTagFilter(expression)) : sqlFilter(expression)
}

function tagFilter({ expression, tags, accepts }: TagFilter): MessageFilter {
  if (tags === undefined) return everyMessage
  return { kind: 'TAG', expression, passesAll: false, accepts: (record, index) => accepts(record.tagHashAt(index)) }
}

function sqlFilter(source: string): MessageFilter {
  const { tree, normalForm } = parseSql(source)
  const fields = new MessageFields()
  const truth = compileSql(tree, fields)
  if (fields.fieldCount === 0) {
    // It asks nothing of a message, and so says the same of each.
    const passesAll = truth() === yes
    return { kind: 'SQL92', expression: normalForm, passesAll, accepts: () => passesAll }
  }
  return {
    kind: 'SQL92',
    expression: normalForm,
    passesAll: false,
    accepts(record, index) {
      const isFound = fields.find(record.bytes, record.messageStart(index), record.messageEnd(index))
      const passes = isFound && truth() === yes
      fields.clear()
      return passes
    },
  }
}
