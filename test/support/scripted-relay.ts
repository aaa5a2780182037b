// A relay that does as a test says: it decodes what clients send, answers by script, and keeps a record of everything.
// By itself it only says WELCOME and PONG.

import { errorCodes } from '../../core/error-codes.ts'
import type { ErrorCode } from '../../core/errors.ts'
import { defaultLimits, fixedLimits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { Connection, Dialler } from '../../core/ports/transport.ts'
import { decodeUpstream, FrameOutbox } from '../../core/protocol/codec.ts'
import type { DownstreamName, FrameFields, UpstreamFrame, UpstreamName } from '../../core/protocol/frames.ts'
import { createInProcessListener } from '../../core/session/in-process-transport.ts'

type FrameNamed<N extends UpstreamName> = Extract<UpstreamFrame, { readonly name: N }>

export type Script = {
  readonly [N in UpstreamName]?: (frame: FrameNamed<N>, line: ScriptedLine) => void
}

export const someWelcome: FrameFields<'WELCOME'> = {
  version: 1,
  relayId: 'scripted',
  heartbeatMs: defaultLimits.heartbeatMs,
  memberGraceMs: defaultLimits.memberGraceMs,
  bodyBytesMax: defaultLimits.bodyBytesMax,
  frameBytesMax: defaultLimits.frameBytesMax,
  batchMessageCountMax: fixedLimits.batchMessageCountMax,
  publishBytesInFlightMax: defaultLimits.publishBytesInFlightMax,
  leaseMsMin: defaultLimits.leaseMsMin,
  leaseMsMax: defaultLimits.leaseMsMax,
  waitMsMax: defaultLimits.waitMsMax,
}

/** One connection, from the relay's side. */
export class ScriptedLine {
  readonly connection: Connection
  /** Frames per transport message. */
  readonly messages: UpstreamFrame[][] = []
  ending: { readonly code: number; readonly reason: string } | undefined
  readonly #outbox = new FrameOutbox()

  constructor(connection: Connection) {
    this.connection = connection
  }

  get frames(): UpstreamFrame[] {
    return this.messages.flat()
  }

  /** Frames of one name, in order of arrival. */
  heard<N extends UpstreamName>(name: N): FrameNamed<N>[] {
    return this.frames.filter((frame): frame is FrameNamed<N> => frame.name === name)
  }

  send<N extends DownstreamName>(name: N, fields: FrameFields<N>): void {
    this.#outbox.add(name, fields)
    this.connection.send(this.#outbox.take())
  }

  refuse(requestId: number, code: ErrorCode, retryAfterMs = 0): void {
    this.send('ERROR', { requestId, code: errorCodes[code].number, retryAfterMs, message: `refused: ${code}` })
  }

  sendBytes(bytes: Uint8Array): void {
    this.connection.send([bytes])
  }

  close(code: number, reason = ''): void {
    this.connection.close(code, reason)
  }
}

export class ScriptedRelay {
  readonly dialler: Dialler
  readonly lines: ScriptedLine[] = []
  /** May be changed between connections. */
  welcome: FrameFields<'WELCOME'> = someWelcome
  script: Script

  constructor(clock: Clock, script: Script = {}) {
    this.script = script
    this.dialler = createInProcessListener({
      clock,
      accept: (connection) => {
        const line = new ScriptedLine(connection)
        this.lines.push(line)
        return {
          message: (bytes) => this.#message(line, bytes),
          closed: (code, reason) => {
            line.ending = { code, reason }
          },
        }
      },
    })
  }

  /** The newest connection. */
  get line(): ScriptedLine {
    const line = this.lines.at(-1)
    if (line === undefined) throw new Error('nobody has connected')
    return line
  }

  #message(line: ScriptedLine, bytes: Uint8Array): void {
    const frames: UpstreamFrame[] = []
    line.messages.push(frames)
    decodeUpstream(bytes, (frame) => frames.push(frame))
    for (const frame of frames) this.#hear(frame, line)
  }

  #hear(frame: UpstreamFrame, line: ScriptedLine): void {
    const answer = this.script[frame.name] as ((frame: UpstreamFrame, line: ScriptedLine) => void) | undefined
    if (answer !== undefined) answer(frame, line)
    else if (frame.name === 'HELLO') line.send('WELCOME', this.welcome)
    else if (frame.name === 'PING') line.send('PONG', { nonce: frame.nonce })
  }
}
