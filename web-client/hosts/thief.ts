// Takes the locks of a wedged engine, so that the next host in the queue becomes the engine and all its tabs hear of the
// end. Bounded: tabs that steal from each other would end every engine as soon as it runs. What the old engine still
// writes is refused by the stores' epoch.

import { engineLockOf } from './host-protocol.ts'

const stealsMax = 2
const perMs = 60_000

/** Steals if the engine's lock is held and the bound allows it; gives whether it did. */
export function createThief(name: string, locks: LockManager | undefined): () => Promise<boolean> {
  let stolenMs: number[] = []
  return async () => {
    const nowMs = Date.now()
    stolenMs = stolenMs.filter((ms) => nowMs - ms < perMs)
    if (locks === undefined || stolenMs.length >= stealsMax) return false
    const engineLock = engineLockOf(name)
    const { held = [] } = await locks.query()
    const names = held.map((lock) => lock.name ?? '').filter((held) => held === engineLock || held.startsWith(`${engineLock}:`))
    if (!names.includes(engineLock)) return false
    stolenMs.push(nowMs)
    // The engine's first: whoever hears of its end finds the lock on its way to the next.
    for (const held of names.sort()) await locks.request(held, { steal: true }, () => {})
    return true
  }
}
