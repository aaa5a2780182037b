// What the page's code takes from its platform, for the time of one simulated run: timers on the simulated clock, chance
// from the seed. The page is thin and has no ports for these, so the globals themselves are lent and given back.

import type { SimClock } from './sim-clock.ts'
import type { SimRandom } from './sim-random.ts'

/** Lends them; the function given takes them back. One world at a time. */
export function lendGlobals(clock: SimClock, random: SimRandom): () => void {
  const { setTimeout, clearTimeout } = globalThis
  const mathRandom = Math.random
  globalThis.setTimeout = ((run: (...args: unknown[]) => void, delayMs = 0, ...args: unknown[]) => {
    return clock.setTimer(delayMs, () => run(...args))
  }) as never
  globalThis.clearTimeout = ((cancel?: () => void) => cancel?.()) as never
  Math.random = () => random.next()
  const getRandomValues = (bytes: Uint8Array): Uint8Array => {
    bytes.set(random.bytes(bytes.length))
    return bytes
  }
  Object.defineProperty(globalThis.crypto, 'getRandomValues', { value: getRandomValues, configurable: true })
  return () => {
    globalThis.setTimeout = setTimeout
    globalThis.clearTimeout = clearTimeout
    Math.random = mathRandom
    // What lies over the prototype's.
    delete (globalThis.crypto as { getRandomValues?: unknown }).getRandomValues
  }
}
