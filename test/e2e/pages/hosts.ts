// A page that attaches itself to an echo engine and tells the test what happens to it.

import { attach, type AttachBounds, type Attachment } from '../../../web-client/hosts/attach.ts'
import type { EnginePort } from '../../../web-client/port/engine-port.ts'
import type { HostKind } from '../../../web-client/port/port-protocol.ts'
import { type EchoAnswer, type EchoRequest, openEchoHost } from './hosts-echo.ts'

export interface HostsPage {
  start(options: {
    readonly host: 'auto' | HostKind
    readonly build?: string
    readonly workerUrl?: string
    readonly bounds?: Partial<AttachBounds>
  }): void
  state(): HostsState
  /** Rejects when the engine goes meanwhile; waits for one to be there. */
  ask(request: EchoRequest): Promise<EchoAnswer>
  post(request: EchoRequest): void
  leave(): Promise<void>
}

export interface HostsState {
  readonly tabId: string | undefined
  readonly isAttached: boolean
  readonly isLeader: boolean
  readonly instanceId: string | undefined
  readonly build: string | undefined
  readonly host: string | undefined
  /** `attached`, `lost CODE`, `ended CODE` in order. */
  readonly events: readonly string[]
}

let attachment: Attachment | undefined
let port: EnginePort | undefined
let state: Pick<HostsState, 'instanceId' | 'build' | 'host'> = { instanceId: undefined, build: undefined, host: undefined }
const events: string[] = []
const heard = new Set<(answer: EchoAnswer) => void>()

const probe: HostsPage = {
  start({ build = 'a', workerUrl = `/test/e2e/pages/hosts-worker.ts?build=${build}`, ...options }) {
    attachment = attach({
      name: 'test',
      workerUrl,
      inline: async (name) => openEchoHost(name, 'inline', build),
      ...options,
    }, {
      attached(attached, welcome) {
        port = attached
        port.listen((message) => {
          for (const hear of heard) hear(message as EchoAnswer)
        })
        state = welcome
        events.push('attached')
      },
      lost(error) {
        port = undefined
        events.push(`lost ${error.code}`)
      },
      ended(error) {
        events.push(`ended ${error.code}`)
      },
    })
    window.addEventListener('pagehide', () => port?.post({ kind: 'note', text: 'last words' }))
  },
  state: () => ({
    tabId: attachment?.tabId,
    isAttached: port !== undefined,
    isLeader: attachment?.isLeader ?? false,
    instanceId: state.instanceId,
    build: state.build,
    host: state.host,
    events,
  }),
  ask: (request) => new Promise((resolve) => {
    const hear = (answer: EchoAnswer) => {
      heard.delete(hear)
      resolve(answer)
    }
    heard.add(hear)
    port?.post(request)
  }),
  post: (request) => port?.post(request),
  leave: async () => attachment?.close(),
}

Object.assign(window, { probe })
