// The real worker with what tests need beside it: its build is in its address, as deploys have it, and it ends without a
// word when it is told so on a channel.

import { engineParts } from '../../../web-client/hosts/engine-parts.ts'
import { createPlatformHost } from '../../../web-client/hosts/platform-host.ts'
import { serveWorker } from '../../../web-client/hosts/worker-scope.ts'

const build = new URLSearchParams(self.location.search).get('build') ?? 'a'

serveWorker(self, (name, host) => {
  new BroadcastChannel(`die:${name}`).onmessage = () => self.close()
  return createPlatformHost(name, host, { ...engineParts, build })
})
