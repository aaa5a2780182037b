// The worker's global scope as lines to pages: one of a dedicated worker, one for each page of a SharedWorker. The first
// message of a line is a hello, which names the engine; so one worker file serves whatever name its maker gave it.

import type { HostKind } from '../port/port-protocol.ts'
import { type EnginePort, isPortMessage, portOf } from '../port/engine-port.ts'
import type { EngineHost } from './engine-host.ts'
import type { HostHello } from './host-protocol.ts'

/** What differs between the two kinds of scope; both are `self`. */
interface WorkerScope extends EventTarget {
  readonly onconnect?: unknown
}

/** Call it while the worker's module is evaluated: a SharedWorker's first page is told of only once. */
export function serveWorker(scope: WorkerScope, openHost: (name: string, host: HostKind) => EngineHost): void {
  const hostsByName = new Map<string, EngineHost>()

  function serve(line: EnginePort, kind: HostKind): void {
    const stop = line.listen((first) => {
      if (!isPortMessage(first) || first.kind !== 'hello') return
      stop()
      const { name } = first as HostHello
      const host = hostsByName.get(name) ?? openHost(name, kind)
      hostsByName.set(name, host)
      host.connect({
        ...line,
        listen(listener) {
          const stop = line.listen(listener)
          listener(first)
          return stop
        },
      })
    })
  }

  if ('onconnect' in scope) {
    scope.addEventListener('connect', (event) => {
      const [port] = (event as MessageEvent).ports
      if (port !== undefined) serve(portOf(port), 'shared')
    })
  } else serve(portOf(scope as Worker), 'leader')
}
