// A page's own line to an engine's host: a SharedWorker, a dedicated worker of this tab, or the page itself. It says hello
// and hears everything; whether the engine behind it has the lock is not known here.

import { PocketError } from '../../core/errors.ts'
import { type EnginePort, portOf } from '../port/engine-port.ts'
import type { HostKind } from '../port/port-protocol.ts'
import type { EngineHost } from './engine-host.ts'

export interface OwnLine {
  readonly host: HostKind
  readonly port: EnginePort
  /** Ends what only this page uses: its worker, its port. */
  end(): void
}

export interface OwnLineOptions {
  readonly name: string
  readonly host: HostKind
  readonly workerName: string
  readonly worker?: ((workerName: string) => Worker | SharedWorker) | undefined
  readonly workerUrl?: string | URL | undefined
  readonly inline?: ((name: string) => Promise<EngineHost>) | undefined
}

/** What this browser has. */
export function hasHost(host: HostKind): boolean {
  if (host === 'shared') return typeof SharedWorker !== 'undefined'
  return host === 'inline' || typeof Worker !== 'undefined'
}

/** Throws what the platform throws. `failed` is told when the worker can't be had or run; it gives whether that mattered. */
export function openOwnLine(options: OwnLineOptions, failed: (error: PocketError) => boolean): OwnLine {
  if (options.host === 'inline') return openInline(options, failed)
  const worker = createWorker(options)
  worker.addEventListener('error', (event) => {
    const { message = 'its file could not be loaded' } = event as ErrorEvent
    // Firefox would tell the page's own handlers of errors too.
    if (failed(new PocketError('ENGINE_LOST', `the ${options.host} worker failed: ${message}`))) event.preventDefault()
  })
  if ('port' in worker) return { host: 'shared', port: portOf(worker.port), end: () => worker.port.close() }
  return { host: 'leader', port: portOf(worker), end: () => worker.terminate() }
}

/**
 * `new`, `URL` and `import.meta.url` in one expression: so bundlers find the worker. The SharedWorker outlives its last
 * page where the browser lets it, so that what was posted at the end is stored. Either all workers of one name say so or
 * none: other options need another name.
 */
function createWorker({ workerName: name, host, worker, workerUrl }: OwnLineOptions): Worker | SharedWorker {
  if (worker !== undefined) return worker(name)
  if (workerUrl !== undefined) {
    const Kind = host === 'shared' ? SharedWorker : Worker
    return new Kind(workerUrl, { type: 'module', name, extendedLifetime: true } as WorkerOptions)
  }
  if (host !== 'shared') return new Worker(new URL('../worker.ts', import.meta.url), { type: 'module', name })
  return new SharedWorker(
    new URL('../worker.ts', import.meta.url), { type: 'module', name, extendedLifetime: true } as WorkerOptions,
  )
}

function openInline({ name, inline = loadInline }: OwnLineOptions, failed: (error: PocketError) => boolean): OwnLine {
  const { port1, port2 } = new MessageChannel()
  let isEnded = false
  let host: EngineHost | undefined
  inline(name).then((loaded) => {
    host = loaded
    if (isEnded) void host.retire()
    else host.connect(portOf(port2))
  }).catch((thrown: unknown) => {
    failed(new PocketError('ENGINE_LOST', 'the engine could not be loaded into the page', { cause: thrown }))
  })
  return {
    host: 'inline',
    port: portOf(port1),
    end() {
      isEnded = true
      void host?.retire()
      port1.close()
    },
  }
}

/** The engine in a chunk of its own: pages with workers never load it. */
async function loadInline(name: string): Promise<EngineHost> {
  const { openInlineHost } = await import('./inline-host.ts')
  return openInlineHost(name)
}
