// Tag filters: `*` or tags joined by `||`. A filter compares 32-bit hashes at the broker, as RocketMQ does, and the
// tag's text where hashes are equal but a collision is possible (the client, which has the text anyway).

import { textToBytes } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { hash32 } from '../hash.ts'
import { fixedLimits } from '../limits.ts'
import { checkTag } from './names.ts'

/** The hash stored for a message without a tag. Should a tag have it too, the text decides as with any collision. */
export const noTagHash = 0

export interface TagFilter {
  /**
   * The expression in its normal form: tags sorted and without repeats, joined by ` || `; or `*`. Filters that mean the
   * same have the same.
   */
  readonly expression: string
  /** Tags that pass; undefined where all messages do. */
  readonly tags: ReadonlySet<string> | undefined
  /** Whether a message whose tag has this hash may pass. */
  readonly accepts: (tagHash: number) => boolean
}

/** The hash of a tag as stored in records. */
export function tagHashOf(tag: string): number {
  return hash32(textToBytes(tag))
}

export const allMessages: TagFilter = { expression: '*', tags: undefined, accepts: () => true }

/**
 * Reads an expression as RocketMQ's FilterAPI does: empty or `*` is everything, else split at `||`, trimmed of blanks,
 * tabs and line ends. Throws BAD_FILTER with the column (from 1) of what is wrong.
 */
export function parseTagFilter(expression: string): TagFilter {
  checkSize(expression)
  const trimmed = trimBlanks(expression)
  if (trimmed === '' || trimmed === '*') return allMessages
  const tags = new Set<string>()
  let column = 1
  for (const part of expression.split('||')) {
    const tag = trimBlanks(part)
    const at = column + part.indexOf(tag)
    if (tag === '') throw new PocketError('BAD_FILTER', `column ${at}: a tag is missing beside '||'`)
    if (tag === '*') throw new PocketError('BAD_FILTER', `column ${at}: '*' stands alone, not beside '||'`)
    try {
      checkTag(tag)
    } catch (cause) {
      throw new PocketError('BAD_FILTER', `column ${at}: ${(cause as Error).message}`, { cause })
    }
    tags.add(tag)
    column += part.length + 2
  }
  if (tags.size > fixedLimits.filterTagCountMax) {
    throw new PocketError('BAD_FILTER', `${tags.size} tags; at most ${fixedLimits.filterTagCountMax} are allowed`)
  }
  const normalForm = [...tags].sort().join(' || ')
  checkSize(normalForm)
  return { expression: normalForm, tags, accepts: hashMatcher([...tags].map(tagHashOf)) }
}

function checkSize(expression: string): void {
  const { filterBytesMax } = fixedLimits
  // A character is at least a byte, so what is too long anyhow is not encoded first.
  if (expression.length <= filterBytesMax && textToBytes(expression).length <= filterBytesMax) return
  throw new PocketError('BAD_FILTER', `the filter is over ${filterBytesMax} bytes`)
}

/** Not `trim()`: that takes away characters a tag may begin or end with. */
function trimBlanks(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isBlank(unit: number): boolean {
  return unit === 0x20 || (unit >= 0x09 && unit <= 0x0d)
}

function hashMatcher(hashes: readonly number[]): (tagHash: number) => boolean {
  if (hashes.length === 1) {
    const only = hashes[0] as number
    return (tagHash) => tagHash === only
  }
  const set = new Set(hashes)
  return (tagHash) => set.has(tagHash)
}
