// Bugs that a test puts into the simulated device, to know that its checkers would find them. Each stands for a mistake that
// a page, an engine, a host or a store could really make; they stand between the parts and are no switches in them.

import type { Clock } from '../../core/ports/clock.ts'
import type { Store, StoreWrite } from '../../core/ports/store.ts'
import { keyKinds } from '../../core/storage/keys.ts'
import type { SendChunk } from '../../web-client/port/port-protocol.ts'
import type { BrowserMishap } from './device-browser.ts'
import type { DiskMishap, StoreName } from './device-disk.ts'
import type { LineDirection, LineMishap } from './device-line.ts'
import { overriding } from './overriding.ts'
import type { SimProcess } from './sim-process.ts'
import type { SimRandom } from './sim-random.ts'

export interface DeviceInterference {
  readonly disk?: DiskMishap
  readonly browser?: BrowserMishap
}

export interface DevicePlantedBug {
  /** What is wrong, for people. */
  readonly text: string
  /** Puts it into one world. */
  readonly plant: (random: SimRandom) => DeviceInterference
}

interface Kinded {
  readonly kind?: string
}

/** A bug of the line: called for each line with its page. */
function onLines(lineMishap: (page: SimProcess) => LineMishap): DeviceInterference {
  return { browser: { lineMishap } }
}

/** A bug of one of the stores. */
function onStore(name: StoreName, commit: (store: Store, clock: Clock) => Store['commit']): DeviceInterference {
  return {
    disk: { wrapStore: (store, of, clock) => (of === name ? overriding<Store>(store, { commit: commit(store, clock) }) : store) },
  }
}

const bugs = {
  'chunks-merged': {
    text: 'a page merges the chunks that it sends again to the next engine into one',
    plant: () => onLines(() => {
      // What is posted in one go with a producer's opening is what it sends again.
      const gathered = new Map<number, SendChunk>()
      let isOpening = false
      return (direction, message, post) => {
        const { kind } = message as Kinded
        if (kind === 'producer' && !isOpening) {
          isOpening = true
          queueMicrotask(() => {
            isOpening = false
            for (const chunk of gathered.values()) post('to-engine', chunk)
            gathered.clear()
          })
        }
        if (kind !== 'send' || !isOpening) return post(direction, message)
        const chunk = message as SendChunk
        const before = gathered.get(chunk.producer)
        gathered.set(chunk.producer, before === undefined ? chunk : mergedOf(before, chunk))
      }
    }),
  },
  'identity-forgotten': {
    text: 'a page takes a new identity for its producers with each engine',
    plant: (random) => onLines(() => (direction, message, post) => {
      if ((message as Kinded).kind !== 'producer') return post(direction, message)
      const producerId = [...random.bytes(8)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
      post(direction, { ...message as object, producerId, producerEpoch: 0, sequenceNext: 0 })
    }),
  },
  'message-repeated': {
    text: 'a line brings a message twice',
    plant: (random) => onLines(() => (direction, message, post) => {
      post(direction, message)
      if (direction === 'to-engine' && (message as Kinded).kind === 'send' && random.chance(0.02)) post(direction, message)
    }),
  },
  'message-swallowed': {
    text: 'a line loses a message',
    plant: (random) => onLines(() => (direction, message, post) => {
      if ((message as Kinded).kind === undefined || !random.chance(0.01)) post(direction, message)
    }),
  },
  'message-overtakes': {
    text: 'a line lets a message overtake another',
    plant: (random) => onLines(() => {
      const held = new Map<LineDirection, unknown>()
      return (direction, message, post) => {
        const before = held.get(direction)
        held.delete(direction)
        if (before === undefined && (message as Kinded).kind !== undefined && random.chance(0.05)) {
          held.set(direction, message)
          return
        }
        post(direction, message)
        if (before !== undefined) post(direction, before)
      }
    }),
  },
  'frozen-tab-keeps': {
    text: 'an engine takes a tab that stands still for one that works',
    plant: () => onLines((page) => (direction, message, post) => {
      const { kind, number } = message as Kinded & { readonly number?: number }
      if (kind === 'pace') return
      // Somebody answers for the page.
      if (direction === 'to-page' && kind === 'ping' && page.isFrozen) post('to-engine', { kind: 'pong', number })
      else post(direction, message)
    }),
  },
  'loss-untold': {
    text: 'a page is not told that its engine is gone, only that there is another',
    plant: () => ({ browser: { isLossUntold: true } }),
  },
  'fence-missing': {
    text: 'the database takes the commits of an engine that was robbed of its lock',
    plant: () => ({ disk: { isUnfenced: true } }),
  },
  'ack-before-commit': {
    text: 'the device store answers a commit before it is durable',
    plant: (random) => onStore('device', (store, clock) => {
      let isBusy = false
      const waiting: (readonly StoreWrite[])[] = []
      const next = (): void => {
        const writes = waiting.shift()
        isBusy = writes !== undefined
        if (writes !== undefined) store.commit(writes, next)
      }
      return (writes, answer) => {
        waiting.push(writes)
        clock.defer(() => answer({ kind: 'durable' }))
        if (!isBusy) clock.setTimer(random.between(0, 50), () => (isBusy ? undefined : next()))
      }
    }),
  },
  'outbox-deletes-early': {
    text: 'the outbox deletes messages when it sends them, before the relay has answered',
    plant: () => onStore('outbox', (store) => {
      let stored: readonly StoreWrite[] = []
      return (writes, answer) => {
        const gone = stored.map(({ key }) => ({ key, value: null }))
        stored = writes.filter(({ key, value }) => key[0] === keyKinds.outboxBatch && value !== null)
        store.commit([...gone, ...writes], answer)
      }
    }),
  },
  'strict-as-relaxed': {
    text: 'commits that have to outlive a power cut are made as those that need not',
    plant: () => onStore('device', (store) => (writes, answer) => store.commit(writes, answer, { isRelaxed: true })),
  },
  'torn-commit': {
    text: 'a crash leaves a part of a commit',
    plant: () => ({ disk: { faults: { crashKeeps: 'a-part' } } }),
  },
} satisfies Record<string, DevicePlantedBug>

export type DevicePlantedBugName = keyof typeof bugs

export const devicePlantedBugs: Readonly<Record<DevicePlantedBugName, DevicePlantedBug>> = bugs

function mergedOf(first: SendChunk, second: SendChunk): SendChunk {
  const bodies = new Uint8Array(first.bodies.length + second.bodies.length)
  bodies.set(first.bodies)
  bodies.set(second.bodies, first.bodies.length)
  return {
    ...first,
    bodies,
    sizes: [...first.sizes, ...second.sizes],
    options: [...optionsOf(first), ...optionsOf(second)],
  }
}

function optionsOf({ sizes, options }: SendChunk): NonNullable<SendChunk['options']> {
  return sizes.map((_, index) => options?.[index])
}
