// What an operator typed, as values; BAD_ARGUMENT names the field where it is none. Durations need nothing: the client takes
// them as they are typed, and says itself what is wrong.

import { type Duration, PocketError } from '../../core/index.ts'

const unitBytes: Readonly<Record<string, number>> = { b: 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3, tib: 1024 ** 4 }

/** A whole number; undefined where nothing is typed. The relay says which are allowed. */
export function countOf(text: string, name: string): number | undefined {
  if (text.trim() === '') return undefined
  const value = Number(text.replaceAll(/[_,\s]/g, ''))
  if (!Number.isSafeInteger(value) || value < 0) throw bad(`${name} is ${JSON.stringify(text)}; it takes a whole number`)
  return value
}

/** A number, such as a share; undefined where nothing is typed. */
export function numberOf(text: string, name: string): number | undefined {
  if (text.trim() === '') return undefined
  const value = Number(text)
  if (Number.isNaN(value)) throw bad(`${name} is ${JSON.stringify(text)}; it takes a number`)
  return value
}

/** Bytes of `1048576`, `64KiB`, `10 MiB`; undefined where nothing is typed. */
export function bytesOf(text: string, name: string): number | undefined {
  if (text.trim() === '') return undefined
  const [, digits, unit = 'b'] = /^(\d+(?:\.\d+)?)\s*(b|kib|mib|gib|tib)?$/i.exec(text.trim()) ?? []
  if (digits === undefined) throw bad(`${name} is ${JSON.stringify(text)}; it takes a size such as 1048576, 64KiB or 2GiB`)
  return Math.round(Number(digits) * (unitBytes[unit.toLowerCase()] as number))
}

/** A duration as typed, `30s`; undefined where nothing is. A plain number is milliseconds. */
export function durationOf(text: string): Duration | undefined {
  const trimmed = text.trim()
  if (trimmed === '') return undefined
  return (/^\d+$/.test(trimmed) ? Number(trimmed) : trimmed) as Duration
}

/** What a field for date and time holds; undefined where that is nothing. */
export function momentOf(text: string, name: string): Date | undefined {
  if (text.trim() === '') return undefined
  const date = new Date(text)
  if (Number.isNaN(date.getTime())) throw bad(`${name} is ${JSON.stringify(text)}; it takes a date with its time`)
  return date
}

/** A moment as a field for date and time takes it, local time to the second. */
export function momentText(timeMs: number): string {
  const date = new Date(timeMs)
  return new Date(timeMs - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19)
}

/** Lines of `name=value`. */
export function propertiesOf(text: string): Map<string, string> {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  return new Map(lines.map((line) => {
    const at = line.indexOf('=')
    if (at < 1) throw bad(`a line of properties is ${JSON.stringify(line)}; it takes name=value`)
    return [line.slice(0, at).trim(), line.slice(at + 1)]
  }))
}

/** Words parted by commas or spaces. */
export function wordsOf(text: string): string[] {
  return text.split(/[,\s]+/).filter((word) => word !== '')
}

function bad(text: string): PocketError {
  return new PocketError('BAD_ARGUMENT', text)
}
