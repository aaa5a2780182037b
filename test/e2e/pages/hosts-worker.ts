// The echo engine as a worker. Its build is in its address, as deploys have it.

import { serveWorker } from '../../../web-client/hosts/worker-scope.ts'
import { openEchoHost } from './hosts-echo.ts'

serveWorker(self, (name, host) => openEchoHost(name, host, new URLSearchParams(self.location.search).get('build') ?? 'a'))
