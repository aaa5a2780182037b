// A two-way line between a page and an engine: a MessagePort, a channel shared by all tabs, or a pair in memory. Comlink
// and our own messages share it, so what is posted first arrives first, whichever of the two posted it.

import type { Endpoint } from 'comlink'

/** Messages in order, both ways. A peer that is gone is not noticed here: locks tell that (hosts/). */
export interface EnginePort {
  /** Sends what structured clone takes. After `close` it does nothing. */
  post(message: unknown, transfer?: Transferable[]): void
  /** Hears every message from now on; the function given stops it. What came before the first listener waits for it. */
  listen(listener: (message: unknown) => void): () => void
  close(): void
}

/** A message of our own, told apart from comlink's by its `kind`. */
export interface PortMessage {
  readonly kind: string
}

export function isPortMessage(message: unknown): message is PortMessage {
  return typeof message === 'object' && message !== null && 'kind' in message
}

/** The line of a MessagePort, a dedicated worker, or the worker's own global scope. */
export function portOf(port: MessagePort | Worker): EnginePort {
  return {
    post: (message, transfer = []) => port.postMessage(message, transfer),
    listen(listener) {
      const heard = (event: Event) => listener((event as MessageEvent).data)
      port.addEventListener('message', heard)
      if ('start' in port) port.start()
      return () => port.removeEventListener('message', heard)
    },
    close() {
      if ('close' in port) port.close()
    },
  }
}

/** What comlink talks through. Our own messages pass it by. */
export function endpointOf(port: EnginePort): Endpoint {
  const stops = new Map<unknown, () => void>()
  return {
    postMessage: (message, transfer = []) => port.post(message, transfer),
    addEventListener(_type, listener) {
      const hear = typeof listener === 'function' ? listener : (event: Event) => listener.handleEvent(event)
      stops.set(listener, port.listen((data) => {
        if (!isPortMessage(data)) hear({ data } as MessageEvent)
      }))
    },
    removeEventListener(_type, listener) {
      stops.get(listener)?.()
      stops.delete(listener)
    },
  }
}
