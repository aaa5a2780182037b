// What a tab writes down for the test while it lives: events of the simulation's history, each with its time. The journal
// is in localStorage, turn by turn, so that it outlives its tab however that ends, and any tab of the profile can read it.

import type { HistoryEvent } from '../../checkers/history.ts'

export interface JournalEntry {
  /** Milliseconds since 1970, with a fraction; comparable between the tabs of one machine. */
  readonly timeMs: number
  /** The tab that wrote it, as the test calls it. */
  readonly tab: string
  readonly event: HistoryEvent
}

const prefix = 'journal:'

let tab = ''
let turnNext = 0
let entries: JournalEntry[] = []

/** Under a name that no tab of the profile had before. */
export function beginJournal(name: string): void {
  tab = name
}

export function note(event: HistoryEvent): void {
  entries.push({ timeMs: performance.timeOrigin + performance.now(), tab, event })
  // Before the turn is over: what comes after it may never happen.
  if (entries.length === 1) queueMicrotask(write)
}

function write(): void {
  localStorage.setItem(`${prefix}${tab}:${turnNext++}`, JSON.stringify(entries))
  entries = []
}

/** Of all tabs that this profile has had, by tab in the order written. */
export function readJournals(): JournalEntry[] {
  const turns: { readonly tab: string; readonly turn: number; readonly text: string }[] = []
  for (let at = 0; at < localStorage.length; at++) {
    const key = localStorage.key(at) as string
    if (!key.startsWith(prefix)) continue
    const [, tab = '', turn] = key.split(':')
    turns.push({ tab, turn: Number(turn), text: localStorage.getItem(key) ?? '[]' })
  }
  turns.sort((a, b) => (a.tab === b.tab ? a.turn - b.turn : a.tab < b.tab ? -1 : 1))
  return turns.flatMap(({ text }) => JSON.parse(text) as JournalEntry[])
}
