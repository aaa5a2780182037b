// Short notes that something was done, at the edge of the page for a while, announced to who can't see them.

import { signal } from '@preact/signals'
import type { JSX } from 'preact'

const shownMs = 6_000

const notes = signal<readonly { readonly id: number; readonly text: string }[]>([])
let nextId = 1

/** Says it. */
export function note(text: string): void {
  const id = nextId++
  notes.value = [...notes.value.slice(-2), { id, text }]
  setTimeout(() => (notes.value = notes.value.filter((one) => one.id !== id)), shownMs)
}

/** Where notes appear; once on the page. */
export function Notes(): JSX.Element {
  return (
    <div class="notes" role="status" data-testid="notes">
      {notes.value.map(({ id, text }) => <p key={id}>{text}</p>)}
    </div>
  )
}
