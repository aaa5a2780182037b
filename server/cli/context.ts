// What the commands of the CLI ask of their process: streams, interruption, exit code, and how to reach a relay. The
// composition root may hand over its own; commands themselves never read `process`.

import type { Readable, Writable } from 'node:stream'
import type { Client, ClientOptions } from '../../core/client/api.ts'
import { connect } from '../connect.ts'
import { exitCodes } from './exit-codes.ts'

export interface TerminalStream {
  readonly isTTY?: boolean
  readonly columns?: number
}

export interface CommandContext {
  connect(url: string, options: ClientOptions): Promise<Client>
  readonly input: Readable & TerminalStream
  readonly output: Writable & TerminalStream
  readonly errors: Writable & TerminalStream
  /**
   * `interrupt` is called once with the exit code to end with: on Ctrl-C, on SIGTERM, or with 0 when the reader of our
   * output has gone. A second signal ends the process at once. Calling what is returned ends the watch.
   */
  onInterrupt(interrupt: (exitCode: number) => void): () => void
  setExitCode(exitCode: number): void
  /** Ends it, whatever is still open. */
  end(exitCode: number): void
}

/** The context of a real process. */
export function createProcessContext(): CommandContext {
  return {
    connect,
    input: process.stdin,
    output: process.stdout,
    errors: process.stderr,
    onInterrupt: watchInterruption,
    setExitCode(exitCode) {
      process.exitCode = exitCode
    },
    end: (exitCode) => process.exit(exitCode),
  }
}

function watchInterruption(interrupt: (exitCode: number) => void): () => void {
  let interrupted = false
  const stop = (exitCode: number) => {
    if (interrupted) process.exit(exitCode)
    interrupted = true
    interrupt(exitCode)
  }
  const onInterrupt = () => stop(exitCodes.interrupted)
  const onTerminate = () => stop(exitCodes.terminated)
  const onOutputError = (error: NodeJS.ErrnoException) => {
    // `pocketmq consume | head`: the reader has what it wanted.
    if (error.code !== 'EPIPE') throw error
    if (!interrupted) stop(exitCodes.ok)
  }
  process.on('SIGINT', onInterrupt)
  process.on('SIGTERM', onTerminate)
  process.stdout.on('error', onOutputError)
  return () => {
    process.off('SIGINT', onInterrupt)
    process.off('SIGTERM', onTerminate)
    // The output's watch stays: a late EPIPE, after the last line, is no crash either.
  }
}
