// Matching UTF-8 text against LIKE patterns, byte by byte and never back: time is linear in the text times the pattern's
// size in machine words, whatever the two are. Knows neither messages nor the grammar.

import { textToBytes } from '../bytes.ts'

/** A stretch of literal text, or one of the two wildcards: `one` any character, `any` any number of them. */
export type LikePart = { readonly kind: 'text'; readonly text: string } | { readonly kind: 'one' | 'any' }

/** Whether `source[start, end)` matches. */
export type TextMatcher = (source: Uint8Array, start: number, end: number) => boolean

/**
 * Takes a LIKE pattern apart; `escape` (one character) makes the wildcard or escape behind it literal. Where it stands
 * before anything else, throws what `wrongEscape` makes of its index. Runs of `%` are one.
 */
export function likePartsOf(pattern: string, escape: string | undefined, wrongEscape: (index: number) => Error): LikePart[] {
  const parts: LikePart[] = []
  let text = ''
  let escapeIndex = -1
  let index = 0
  const flush = (): void => {
    if (text !== '') parts.push({ kind: 'text', text })
    text = ''
  }
  for (const character of pattern) {
    if (escapeIndex !== -1) {
      if (character !== '%' && character !== '_' && character !== escape) throw wrongEscape(escapeIndex)
      text += character
      escapeIndex = -1
    } else if (character === escape) {
      escapeIndex = index
    } else if (character === '%' || character === '_') {
      flush()
      if (character === '_') parts.push({ kind: 'one' })
      else if (parts.at(-1)?.kind !== 'any') parts.push({ kind: 'any' })
    } else text += character
    index += character.length
  }
  if (escapeIndex !== -1) throw wrongEscape(escapeIndex)
  flush()
  return parts
}

/** Whether `source[start, start + text.length)` is `text`; the caller checked that it is inside. */
export function hasBytesAt(source: Uint8Array, start: number, text: Uint8Array): boolean {
  for (let index = 0; index < text.length; index++) {
    if (source[start + index] !== text[index]) return false
  }
  return true
}

/** The cheapest matcher of a pattern: comparing bytes where the pattern is a text, a beginning or an end. */
export function likeMatcher(parts: readonly LikePart[]): TextMatcher {
  const [first, second] = parts
  if (first === undefined) return (_source, start, end) => start === end
  if (parts.length === 1 && first.kind === 'text') {
    const text = textToBytes(first.text)
    return (source, start, end) => end - start === text.length && hasBytesAt(source, start, text)
  }
  if (parts.length === 2 && first.kind === 'text' && second?.kind === 'any') {
    const text = textToBytes(first.text)
    return (source, start, end) => end - start >= text.length && hasBytesAt(source, start, text)
  }
  if (parts.length === 2 && first.kind === 'any' && second?.kind === 'text') {
    const text = textToBytes(second.text)
    return (source, start, end) => end - start >= text.length && hasBytesAt(source, end - text.length, text)
  }
  return stateMatcher(parts)
}

// The rest is a nondeterministic automaton, all of whose states are bits that move at once (Baeza-Yates and Gonnet's
// shift-and). State i: the first i of the pattern's bytes and `one`s are matched. Bit i of
//
//   accepts[c]  the next of them is the byte c, which moves state i to i + 1
//   ones        the next of them is a `one`: the first byte of any character moves state i to i + 1
//   stays       a `%` stands here: state i takes any byte and stays
//   inside      a `one` or a `%` stands before: state i takes the further bytes of a character and stays
//
// Literal text begins and ends with whole characters, so no match begins or ends inside of one.

/** States in one machine word. */
const wordBits = 32

interface StateTable {
  readonly wordCount: number
  /** Bytes of the pattern have classes of their own, from 1. */
  readonly classes: Uint8Array
  /** Words by class, first those of class 0. */
  readonly accepts: Int32Array
  readonly ones: Int32Array
  readonly stays: Int32Array
  readonly inside: Int32Array
  /** The state in which all is matched. */
  readonly lastState: number
}

function stateMatcher(parts: readonly LikePart[]): TextMatcher {
  const table = buildTable(parts)
  return table.wordCount === 1 ? oneWordMatcher(table) : wordsMatcher(table)
}

function buildTable(parts: readonly LikePart[]): StateTable {
  const texts = parts.map((part) => (part.kind === 'text' ? textToBytes(part.text) : undefined))
  const classes = new Uint8Array(256)
  let classCount = 1
  let lastState = 0
  parts.forEach((part, index) => {
    if (part.kind === 'one') lastState++
    for (const byte of texts[index] ?? []) {
      lastState++
      if (classes[byte] === 0) classes[byte] = classCount++
    }
  })
  const wordCount = Math.floor(lastState / wordBits) + 1
  const words = (): Int32Array => new Int32Array(wordCount)
  const [accepts, ones, stays, inside] = [new Int32Array(classCount * wordCount), words(), words(), words()]
  let state = 0
  parts.forEach((part, index) => {
    if (part.kind === 'any') {
      setBit(stays, 0, state)
      setBit(inside, 0, state)
    } else if (part.kind === 'one') {
      setBit(ones, 0, state)
      state++
      setBit(inside, 0, state)
    }
    for (const byte of texts[index] ?? []) {
      setBit(accepts, (classes[byte] as number) * wordCount, state)
      state++
    }
  })
  return { wordCount, classes, accepts, ones, stays, inside, lastState }
}

function setBit(words: Int32Array, base: number, state: number): void {
  const at = base + Math.floor(state / wordBits)
  words[at] = (words[at] as number) | (1 << (state % wordBits))
}

function oneWordMatcher({ classes, accepts, lastState, ...words }: StateTable): TextMatcher {
  const [ones, stays, inside] = [words.ones[0] as number, words.stays[0] as number, words.inside[0] as number]
  const last = 1 << lastState
  /** Whatever follows, it matches. */
  const open = stays & last
  return (source, start, end) => {
    let states = 1
    for (let at = start; at < end; at++) {
      if ((states & open) !== 0) return true
      const byte = source[at] as number
      const accepted = accepts[classes[byte] as number] as number
      states = (byte & 0xc0) === 0x80 ?
        ((states & accepted) << 1) | (states & inside) :
        ((states & (accepted | ones)) << 1) | (states & stays)
      if (states === 0) return false
    }
    return (states & last) !== 0
  }
}

function wordsMatcher({ wordCount, classes, accepts, ones, stays, inside, lastState }: StateTable): TextMatcher {
  const states = new Int32Array(wordCount)
  const last = 1 << (lastState % wordBits)
  const open = (stays[wordCount - 1] as number) & last
  return (source, start, end) => {
    states.fill(0)
    states[0] = 1
    for (let at = start; at < end; at++) {
      if (((states[wordCount - 1] as number) & open) !== 0) return true
      const byte = source[at] as number
      const base = (classes[byte] as number) * wordCount
      const isInside = (byte & 0xc0) === 0x80
      let carry = 0
      let any = 0
      for (let word = 0; word < wordCount; word++) {
        const state = states[word] as number
        const accepted = accepts[base + word] as number
        const moving = state & (isInside ? accepted : accepted | (ones[word] as number))
        const next = (moving << 1) | carry | (state & (isInside ? (inside[word] as number) : (stays[word] as number)))
        carry = moving >>> (wordBits - 1)
        any |= next
        states[word] = next
      }
      if (any === 0) return false
    }
    return ((states[wordCount - 1] as number) & last) !== 0
  }
}
