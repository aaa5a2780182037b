// What the browser does to a page: freezes it, lays it away, wakes it up. Only posting is done in `leaving`: nothing that
// takes a turn of the event loop is sure to happen after it.

export interface PageEvents {
  /** The page goes; `isKept`: it may come back as it is (back/forward cache). */
  leaving(isKept: boolean): void
  /** Back from the cache. */
  restored(): void
  frozen(): void
  running(): void
  /** A connection that did not work may work now: online, visible, awake. */
  awake(): void
}

const tickMs = 5_000
/** A tick of a visible page that is so late means that the device slept. */
const lateMsMax = 10_000

/** Tells until the function given is called. Without a document (inline in a worker, or in tests) nothing happens. */
export function watchPage(events: PageEvents): () => void {
  if (typeof document === 'undefined') return () => {}
  const over = new AbortController()
  const on = (target: EventTarget, type: string, hear: (event: Event) => void) =>
    target.addEventListener(type, hear, { signal: over.signal })

  on(window, 'pagehide', (event) => events.leaving((event as PageTransitionEvent).persisted))
  on(window, 'pageshow', (event) => {
    if ((event as PageTransitionEvent).persisted) events.restored()
  })
  on(document, 'freeze', () => events.frozen())
  on(document, 'resume', () => {
    events.running()
    events.awake()
  })
  on(window, 'online', () => events.awake())
  on(document, 'visibilitychange', () => {
    if (document.visibilityState === 'visible') events.awake()
  })

  let tickedMs = Date.now()
  const ticking = setInterval(() => {
    const sleptMs = Date.now() - tickedMs
    tickedMs += sleptMs
    // Timers of hidden pages are late anyway.
    if (sleptMs > lateMsMax && document.visibilityState === 'visible') events.awake()
  }, tickMs)
  return () => {
    over.abort()
    clearInterval(ticking)
  }
}
