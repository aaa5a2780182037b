// A system's server as a process of its own: started on a free port, waited for until it takes work, stopped.

import { connect, createServer } from 'node:net'
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { AddressInfo } from 'node:net'
import type { ChildProcess } from 'node:child_process'

import { childProgram } from './role.ts'
import type { Children } from './children.ts'
import type { ServedSystem, ServerPlace } from './systems/system.ts'
import type { ServerAddress } from './job.ts'

const readyMsMax = 60_000
const pollMs = 5

export interface RunningServer {
  readonly address: ServerAddress
  stop(): Promise<void>
}

/** Starts the server on what `folder` holds. Throws, with the last it said, when it ends or is not ready in 60 s. */
export async function startServer(system: ServedSystem, folder: string, children: Children): Promise<RunningServer> {
  const port = await findFreePort()
  const start = prepareStart(system, { port, folder })
  const startedAt = performance.now()
  const child = start()
  children.add(child)
  let output = ''
  const keepOutput = (data: Buffer): void => {
    output = (output + data.toString()).slice(-2000)
  }
  child.stdout?.on('data', keepOutput)
  child.stderr?.on('data', keepOutput)
  child.on('error', (error) => keepOutput(Buffer.from(error.message)))

  const isReady = system.isReady ?? isListening
  while (!(await isReady(port))) {
    const waitedMs = performance.now() - startedAt
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`the server of ${system.title} ended at once: ${lastLine(output)}`)
    }
    if (waitedMs > readyMsMax) throw new Error(`the server of ${system.title} was not ready in ${readyMsMax} ms`)
    await delay(pollMs)
  }
  const startedInMs = performance.now() - startedAt
  return { address: { pid: child.pid as number, port, startedInMs }, stop: () => children.stop(child) }
}

/** Does what takes time and is not the server's, such as writing its configuration, before the start is timed. */
function prepareStart(system: ServedSystem, place: ServerPlace): () => ChildProcess {
  if ('program' in system.server) {
    const { file, args } = system.server.program(place)
    return () => spawn(file, args, { cwd: place.folder, stdio: ['ignore', 'pipe', 'pipe'] })
  }
  const { file, env } = childProgram({ kind: 'serve', system: system.name, port: place.port })
  return () => fork(file, { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
}

/** Whether something takes TCP connections there. */
function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      resolve(true)
      socket.destroy()
    })
    socket.once('error', () => resolve(false))
  })
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function lastLine(output: string): string {
  return output.trim().split('\n').at(-1) ?? ''
}
