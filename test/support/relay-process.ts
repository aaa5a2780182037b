// A real relay as a child process, on LMDB in a temporary folder, that can be killed and started again: same port,
// same data. It does not outlive the process that started it.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const startMsMax = 20_000
const readyPollMs = 10

export class RelayProcess implements AsyncDisposable {
  readonly url: string
  readonly #port: number
  readonly #folder: string
  readonly #flags: readonly string[]
  #child: ChildProcess | undefined
  #log = ''

  private constructor(port: number, flags: readonly string[]) {
    this.#port = port
    this.url = `ws://127.0.0.1:${port}`
    this.#folder = mkdtempSync(join(tmpdir(), 'pocketmq-relay-'))
    this.#flags = flags
    process.once('exit', this.#abandon)
  }

  /** Resolves when the relay is ready. `flags` are those of `pocketmq serve`, besides host, port and data. */
  static async start(flags: readonly string[] = []): Promise<RelayProcess> {
    const relay = new RelayProcess(await findFreePort(), flags)
    await relay.start()
    return relay
  }

  /** Starts it again, on what it had stored. Resolves when it is ready. */
  async start(): Promise<void> {
    this.#child = spawn(
      process.execPath,
      [
        join(root, 'tools', 'run.mjs'), join(root, 'server', 'main.ts'), 'serve',
        '--host', '127.0.0.1', '--port', String(this.#port), '--data', this.#folder, ...this.#flags,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    this.#child.stdout?.on('data', this.#keepLog)
    this.#child.stderr?.on('data', this.#keepLog)
    const startedMs = Date.now()
    while (!(await this.#isReady())) {
      if (!this.isRunning || Date.now() - startedMs > startMsMax) {
        throw new Error(`the relay did not start:\n${this.#log}`)
      }
      await sleep(readyPollMs)
    }
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** `kill -9`: no time for a last word. Resolves when it is dead. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** SIGTERM: it drains and ends by itself. Gives its exit code. */
  async stop(): Promise<number | null> {
    await this.#end('SIGTERM')
    return this.#child?.exitCode ?? null
  }

  /** Ends it and removes its data. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    process.off('exit', this.#abandon)
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#child === undefined || !this.isRunning) return
    const exited = once(this.#child, 'exit')
    this.#child.kill(signal)
    await exited
  }

  async #isReady(): Promise<boolean> {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.#port}/readyz`)
      // Some tests leave it no room.
      return answer.ok || (await answer.text()).startsWith('full')
    } catch {
      return false
    }
  }

  readonly #keepLog = (chunk: Buffer): void => {
    this.#log = (this.#log + chunk.toString()).slice(-4_000)
  }

  readonly #abandon = (): void => {
    this.#child?.kill('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
