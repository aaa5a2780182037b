// The engine's worker, shared or of one tab: the composition root of `pocketmq/worker`. It imports for its effect; name and
// everything else come with the hellos of pages.

import { engineParts } from './hosts/engine-parts.ts'
import { createPlatformHost } from './hosts/platform-host.ts'
import { serveWorker } from './hosts/worker-scope.ts'

serveWorker(self, (name, host) => createPlatformHost(name, host, engineParts))
