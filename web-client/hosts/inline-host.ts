// The engine inside a page, where there is nothing better. Loaded only then.

import type { EngineHost } from './engine-host.ts'
import { engineParts } from './engine-parts.ts'
import { createPlatformHost } from './platform-host.ts'

export function openInlineHost(name: string): EngineHost {
  return createPlatformHost(name, 'inline', engineParts)
}
