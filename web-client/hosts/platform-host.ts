// An engine's host with what the browser gives: its locks and channels, time and chance. For a worker or, in a chunk of its
// own, for the page.

import type { HostKind } from '../port/port-protocol.ts'
import { createBrowserClock, createBrowserRandom } from '../system.ts'
import { build } from './build.ts'
import { createConsoleLog } from './console-log.ts'
import { createEngineHost, type EngineHost, type EngineHostDeps } from './engine-host.ts'

/** What makes an engine of a host. */
export type EngineParts = Pick<EngineHostDeps, 'openStores' | 'openEngine' | 'dial'> & Partial<EngineHostDeps>

export function createPlatformHost(name: string, host: HostKind, parts: EngineParts): EngineHost {
  return createEngineHost({
    name,
    host,
    build,
    locks: navigator.locks,
    openChannel: (channelName) => new BroadcastChannel(channelName),
    clock: createBrowserClock(),
    random: createBrowserRandom(),
    log: createConsoleLog(),
    ...parts,
  })
}
