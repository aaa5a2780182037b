// Room kept back in the browser's storage: when that is full, the ballast goes overboard, and what has to be written then
// still can be: the epoch of the next engine, acks, positions. That it can be taken aboard again says that there is room,
// which no estimate of a browser does. It lies in the Cache API, whose room is free at once when something is deleted.

/** Chromium lets an origin go a MiB or so beyond its quota before it refuses. */
const ballastBytes = 4 * 1024 * 1024
/** Never fetched. */
const address = 'https://pocketmq.invalid/ballast'
const probeAddress = 'https://pocketmq.invalid/probe'

export interface Ballast {
  isAboard(): Promise<boolean>
  /** Gives whether there was room for it, and for so much beside it. */
  take(besideBytes: number): Promise<boolean>
  drop(): Promise<void>
}

/** For the engine of that name. Undefined `caches`: a page without TLS; then there is never any aboard. */
export function createBallast(name: string, caches: CacheStorage | undefined): Ballast {
  const open = () => caches?.open(`pocketmq:${name}`)
  return {
    isAboard: async () => {
      try {
        return await (await open())?.match(address) !== undefined
      } catch {
        return false
      }
    },
    take: async (besideBytes) => {
      // Without a cache nothing is known to be full.
      if (caches === undefined) return true
      try {
        const cache = await open()
        try {
          if (besideBytes > 0) await cache?.put(probeAddress, new Response(new Uint8Array(besideBytes)))
          await cache?.put(address, new Response(new Uint8Array(ballastBytes)))
          return true
        } finally {
          if (besideBytes > 0) await cache?.delete(probeAddress)
        }
      } catch {
        return false
      }
    },
    drop: async () => {
      try {
        await (await open())?.delete(address)
      } catch {
        // Then it is not there to be dropped.
      }
    },
  }
}
