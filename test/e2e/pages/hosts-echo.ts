// An engine that echoes, and fails on request: what hosts are tested with.

import { PocketError } from '../../../core/errors.ts'
import { createMemoryStore } from '../../../core/storage/memory-store.ts'
import type { EngineLife } from '../../../web-client/engine/engine.ts'
import type { EngineHost } from '../../../web-client/hosts/engine-host.ts'
import { createPlatformHost, type EngineParts } from '../../../web-client/hosts/platform-host.ts'
import { type EnginePort, isPortMessage } from '../../../web-client/port/engine-port.ts'
import type { HostKind } from '../../../web-client/port/port-protocol.ts'
import { createBrowserClock } from '../../../web-client/system.ts'

/** What the echo engine understands. */
export type EchoRequest =
  | { readonly kind: 'echo'; readonly text: string }
  /** Kept; not answered. */
  | { readonly kind: 'note'; readonly text: string }
  /** Answered with the tabs that the engine has, and those that have gone from it, and the notes. */
  | { readonly kind: 'tabs' }
  /** Its store failed. */
  | { readonly kind: 'fail' }
  /** The worker ends without a word. */
  | { readonly kind: 'die' }
  /** Does nothing else for so long. */
  | { readonly kind: 'hang'; readonly hangMs: number }

export type EchoAnswer =
  | { readonly kind: 'echoed'; readonly text: string }
  | {
    readonly kind: 'tab-list'
    readonly tabs: readonly string[]
    readonly gone: readonly string[]
    readonly notes: readonly string[]
  }
  | { readonly kind: 'heard'; readonly message: unknown }

function createEcho(failed: (error: PocketError) => void): EngineLife {
  const portsByTabId = new Map<string, EnginePort>()
  const gone: string[] = []
  const notes: string[] = []
  return {
    statusWithOneMore: () => ({
      link: 'none', isOffline: false, outboxCount: 0, outboxBytes: 0, lag: 0, storage: 'memory', tabCount: portsByTabId.size + 1,
    }),
    accept(port, tabId) {
      portsByTabId.set(tabId, port)
      const answer = (message: EchoAnswer) => port.post(message)
      port.listen((message) => {
        if (!isPortMessage(message)) return
        const request = message as EchoRequest
        switch (request.kind) {
          case 'echo': return answer({ kind: 'echoed', text: request.text })
          case 'tabs': return answer({ kind: 'tab-list', tabs: [...portsByTabId.keys()], gone, notes })
          case 'note': return void notes.push(request.text)
          case 'fail': return failed(new PocketError('STORE_FAILED', 'asked to fail'))
          case 'die': return self.close()
          case 'hang': {
            const endMs = Date.now() + request.hangMs
            while (Date.now() < endMs);
            return
          }
          default: return answer({ kind: 'heard', message })
        }
      })
      return {
        gone() {
          portsByTabId.delete(tabId)
          gone.push(tabId)
        },
      }
    },
    async close() {},
  }
}

export function openEchoHost(name: string, host: HostKind, build: string): EngineHost {
  const clock = createBrowserClock()
  const parts: EngineParts = {
    build,
    async openStores() {
      const open = () => createMemoryStore({ clock })
      return {
        kind: 'memory', error: undefined, epoch: 1, device: open(), outbox: open(), replica: open(), async close() {},
      }
    },
    openEngine: async ({ failed }) => createEcho(failed),
    dial: () => { throw new Error('an echo has no relay') },
  }
  return createPlatformHost(name, host, parts)
}
