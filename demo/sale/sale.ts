// What the scenes of one page have in common: the room, which scene is shown, the messages last seen (for the trace), and
// small things for models of scenes.

import { type ReadonlySignal, type Signal, signal } from '@preact/signals'
import { type Home, PocketError } from '../../web-client/index.ts'
import type { Room } from './room.ts'

export const sceneNames = ['peak', 'life', 'prices', 'unpaid', 'payment', 'offline', 'trace'] as const
export type SceneName = (typeof sceneNames)[number]

/** A message that a scene has shown. */
export interface SeenMessage {
  readonly messageId: string
  readonly home: Home
  readonly label: string
}

export interface Sale {
  readonly room: Room
  readonly scene: Signal<SceneName>
  /** The newest first. */
  readonly seen: Signal<readonly SeenMessage[]>
  /** The one whose trace is asked for. */
  readonly traced: Signal<SeenMessage | undefined>
  saw(message: SeenMessage): void
  openTrace(message: SeenMessage): void
  /** A scene's model, made when it is first shown; it goes on while other scenes are. */
  modelOf<M>(name: SceneName, create: (sale: Sale) => M): M
}

const seenCountMax = 10

export function createSale(room: Room): Sale {
  const models = new Map<SceneName, unknown>()
  const sale: Sale = {
    room,
    scene: signal(sceneOf(location.hash)),
    seen: signal([]),
    traced: signal(undefined),
    saw(message) {
      if (sale.seen.value.some(({ messageId }) => messageId === message.messageId)) return
      sale.seen.value = [message, ...sale.seen.value].slice(0, seenCountMax)
    },
    openTrace(message) {
      sale.saw(message)
      sale.traced.value = message
      location.hash = 'trace'
    },
    modelOf<M>(name: SceneName, create: (sale: Sale) => M): M {
      if (!models.has(name)) models.set(name, create(sale))
      return models.get(name) as M
    },
  }
  addEventListener('hashchange', () => {
    sale.scene.value = sceneOf(location.hash)
  })
  return sale
}

function sceneOf(hash: string): SceneName {
  return sceneNames.find((name) => `#${name}` === hash) ?? 'peak'
}

/** What went wrong last, for the reader: the broker's own words. */
export interface Failure {
  readonly text: ReadonlySignal<string | undefined>
  clear(): void
  /** Runs the work and keeps what it throws. True when it went well. */
  during(work: () => unknown): Promise<boolean>
}

export function createFailure(): Failure {
  const text = signal<string | undefined>(undefined)
  return {
    text,
    clear() {
      text.value = undefined
    },
    async during(work) {
      try {
        await work()
        text.value = undefined
        return true
      } catch (error) {
        text.value = textOf(error)
        return false
      }
    },
  }
}

export function textOf(error: unknown): string {
  if (error instanceof PocketError) return `${error.code}: ${error.message}`
  return error instanceof Error ? error.message : String(error)
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** What needs the relay to open: tried until it is there. Until then `failure` says why it is not, and who needs it waits. */
export async function opening<T>(failure: Failure, open: () => Promise<T>): Promise<T> {
  for (;;) {
    const opened: T[] = []
    if (await failure.during(async () => opened.push(await open()))) return opened[0] as T
    await sleep(1_000)
  }
}

/** Does it again and again, each time so long after the last one ended; what it throws is for the next time. */
export function repeat(everyMs: number, work: () => unknown): void {
  const again = async (): Promise<void> => {
    try {
      await work()
    } catch {
      // The relay can't be asked just now; the header says so.
    }
    setTimeout(() => void again(), everyMs)
  }
  void again()
}

/** A short name that nobody else has taken: `k3f9-7`. */
export function createNames(): () => string {
  const prefix = crypto.getRandomValues(new Uint32Array(1))[0]?.toString(36).slice(0, 4) ?? ''
  let number = 0
  return () => `${prefix}-${++number}`
}
