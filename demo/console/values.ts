// What an operator typed, as values; BAD_ARGUMENT names the field where it is none. What is wrong
// with a duration that has a unit the client says itself.

import { type Duration, PocketError } from '../../core/index.ts'

const unitBytes: Readonly<Record<string, number>> = { b: 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3, tib: 1024 ** 4 }

/** A whole number; undefined where nothing is typed. The relay says which are allowed. */
export function countOf(text: string, name: string): number | undefined {
  if (text.trim() === '') return undefined
  // `1,5` is no way to write 15.
  const isPlain = /^-?\d+$/.test(text.trim()) || /^\d{1,3}([,_ ]\d{3})+$/.test(text.trim())
  const value = isPlain ? Number(text.replaceAll(/[_,\s]/g, '')) : Number.NaN
  if (!Number.isSafeInteger(value)) throw bad(`${name} is ${JSON.stringify(text)}; it takes a whole number`)
  if (value < 0) throw bad(`${name} is ${value}; it takes a whole number from 0 on`)
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

/** A duration as typed, `30s`; undefined where nothing is. A number needs its unit, but 0: who means hours must not get ms. */
export function durationOf(text: string, name: string): Duration | undefined {
  const trimmed = text.trim()
  if (trimmed === '') return undefined
  if (trimmed === '0') return 0
  if (/^\d+$/.test(trimmed)) throw bad(`${name} is ${trimmed}; it takes a unit, such as ${trimmed}s, ${trimmed}h or ${trimmed}d`)
  return trimmed as Duration
}

/** What a field for date and time holds; undefined where that is nothing. */
export function momentOf(text: string, name: string): Date | undefined {
  if (text.trim() === '') return undefined
  const date = new Date(text)
  if (Number.isNaN(date.getTime())) throw bad(`${name} is ${JSON.stringify(text)}; it takes a date with its time`)
  if (date.getTime() < 0) throw bad(`${name} is ${JSON.stringify(text)}; it takes a time since 1970`)
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
