// One Store for several writers that know nothing of each other: their commits wait for one another, and go one by one.

import type { CommitOptions, CommitOutcome, Store, StoreWrite } from '../ports/store.ts'

interface Waiting {
  readonly writes: readonly StoreWrite[]
  readonly answer: (outcome: CommitOutcome) => void
  readonly options: CommitOptions | undefined
}

/** `close` closes the store beneath. */
export function createSharedStore(store: Store): Store {
  const waiting: Waiting[] = []
  let isCommitting = false
  const next = (): void => {
    const first = waiting.shift()
    if (first === undefined) return
    isCommitting = true
    store.commit(first.writes, (outcome) => {
      isCommitting = false
      first.answer(outcome)
      if (!isCommitting) next()
    }, first.options)
  }
  return {
    read: (range, answer) => store.read(range, answer),
    commit(writes, answer, options) {
      waiting.push({ writes, answer, options })
      if (!isCommitting) next()
    },
    space: () => store.space(),
    close: () => store.close(),
  }
}
