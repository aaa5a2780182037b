// What the relay answers to a question that a page keeps asking: the newest answer, or why there is none. One question at a
// time is under way, a hidden page asks nothing, and the answer to what is no longer asked is dropped.

import { useEffect, useRef, useState } from 'preact/hooks'
import type { PocketError } from '../../core/index.ts'
import { asPocketError } from './operator.ts'

export interface Answer<T> {
  /** Undefined before the first. The last one stays while a later one failed. */
  readonly value: T | undefined
  /** Why the newest question got no answer. */
  readonly error: PocketError | undefined
  /** The first answer is still to come. */
  readonly isWaiting: boolean
  /** Asks at once: something was changed. Resolves when that is answered. */
  refresh(): Promise<void>
}

interface Standing<T> {
  readonly value: T | undefined
  readonly error: PocketError | undefined
}

/**
 * Asks when the component appears, when `dependencies` change (the answer before is forgotten, then), and `everyMs` after
 * each answer where that is given.
 */
export function useAnswer<T>(
  ask: () => Promise<T>, dependencies: readonly unknown[], { everyMs }: { readonly everyMs?: number } = {},
): Answer<T> {
  const [standing, setStanding] = useState<Standing<T>>({ value: undefined, error: undefined })
  const refresh = useRef<() => Promise<void>>(async () => {})

  useEffect(() => {
    let isOver = false
    let timer: ReturnType<typeof setTimeout> | undefined
    let current: Promise<void> | undefined
    setStanding({ value: undefined, error: undefined })

    async function askOnce(): Promise<void> {
      clearTimeout(timer)
      try {
        const value = await ask()
        if (!isOver) setStanding({ value, error: undefined })
      } catch (error) {
        if (!isOver) setStanding((before) => ({ value: before.value, error: asPocketError(error) }))
      }
      current = undefined
      if (!isOver && everyMs !== undefined && !document.hidden) timer = setTimeout(() => void next(), everyMs)
    }
    function next(): Promise<void> {
      current ??= askOnce()
      return current
    }
    /** An answer that is under way may be older than the change. */
    async function askAfresh(): Promise<void> {
      await current
      if (!isOver) await next()
    }
    function shown(): void {
      if (!document.hidden && everyMs !== undefined) void next()
    }

    refresh.current = askAfresh
    document.addEventListener('visibilitychange', shown)
    void next()
    return () => {
      isOver = true
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', shown)
    }
  }, [...dependencies, everyMs])

  return {
    ...standing,
    isWaiting: standing.value === undefined && standing.error === undefined,
    refresh: () => refresh.current(),
  }
}
