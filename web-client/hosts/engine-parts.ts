// What an engine in a browser is made of: IndexedDB, the engine, WebSocket.

import { openEngine } from '../engine/engine.ts'
import { createWebSocketDialler } from '../engine/web-socket-dialler.ts'
import { openDeviceStores } from '../store/idb-open.ts'
import type { EngineParts } from './platform-host.ts'

export const engineParts: EngineParts = {
  openStores: openDeviceStores,
  openEngine,
  dial: (url, clock) => createWebSocketDialler({ url, clock }),
}
