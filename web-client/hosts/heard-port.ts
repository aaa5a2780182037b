// The EnginePort of one hello: whoever owns the line underneath hands it what is heard, and can cut it off. Keeps what
// comes before the first listener.

import type { EnginePort } from '../port/engine-port.ts'

export interface HeardPort {
  readonly port: EnginePort
  hear(message: unknown): void
  /** Nothing goes through any more, either way. The line underneath stays. */
  cut(): void
}

export function createHeardPort(post: EnginePort['post']): HeardPort {
  const listeners = new Set<(message: unknown) => void>()
  let early: unknown[] | undefined = []
  let isCut = false

  function cut(): void {
    isCut = true
    early = undefined
    listeners.clear()
  }

  return {
    port: {
      post(message, transfer) {
        if (!isCut) post(message, transfer)
      },
      listen(listener) {
        if (isCut) return () => {}
        const hear = (message: unknown) => listener(message)
        listeners.add(hear)
        const waiting = early ?? []
        early = undefined
        for (const message of waiting) hear(message)
        return () => listeners.delete(hear)
      },
      close: cut,
    },
    hear(message) {
      if (early === undefined) for (const listener of listeners) listener(message)
      else early.push(message)
    },
    cut,
  }
}

/** The line of a channel that two share. Nothing can be transferred over it. */
export function portOfChannel(channel: BroadcastChannel): EnginePort {
  return {
    post: (message) => channel.postMessage(message),
    listen(listener) {
      const heard = (event: Event) => listener((event as MessageEvent).data)
      channel.addEventListener('message', heard)
      return () => channel.removeEventListener('message', heard)
    },
    close: () => channel.close(),
  }
}
