// Takes things as fast as they come and hands them on once per frame of the screen, so that the page is drawn as often as it
// can be seen and not once per message. In a hidden tab, which has no frames, four times a second.

export interface FrameBatch<T> {
  add(item: T): void
  /** Nothing is handed on any more. */
  close(): void
}

/** A hidden tab's, and the most that is held. */
const hiddenMs = 250
const heldCountMax = 20_000

export function createFrameBatch<T>(show: (items: readonly T[]) => void): FrameBatch<T> {
  let items: T[] = []
  let cancel: (() => void) | undefined
  const flush = (): void => {
    cancel?.()
    cancel = undefined
    const shown = items
    items = []
    if (shown.length > 0) show(shown)
  }
  const schedule = (): (() => void) => {
    if (document.hidden) {
      const timer = setTimeout(flush, hiddenMs)
      return () => clearTimeout(timer)
    }
    const frame = requestAnimationFrame(flush)
    return () => cancelAnimationFrame(frame)
  }
  return {
    add(item) {
      items.push(item)
      cancel ??= schedule()
      // The tab was hidden while it waited for a frame.
      if (items.length >= heldCountMax) flush()
    },
    close() {
      cancel?.()
      cancel = () => {}
      items = []
    },
  }
}
