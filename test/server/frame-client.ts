// A client that speaks frames over a real WebSocket and nothing else: what a test sends is what goes out, and every
// frame that comes is kept.

import { expect } from 'vitest'
import type { Connection } from '../../core/ports/transport.ts'
import { decodeDownstream, encodeFrame } from '../../core/protocol/codec.ts'
import type { DownstreamFrame, DownstreamName } from '../../core/protocol/frames.ts'
import { createSystemClock } from '../../server/system.ts'
import { createWsDialler } from '../../server/ws-dialler.ts'

type FrameNamed<N extends DownstreamName> = Extract<DownstreamFrame, { readonly name: N }>

export class FrameClient {
  readonly frames: DownstreamFrame[] = []
  ending: { readonly code: number; readonly reason: string } | undefined
  readonly #connection: Connection
  #isOpen = false

  private constructor(url: string) {
    const dialler = createWsDialler({ url, clock: createSystemClock() })
    this.#connection = dialler.dial({
      opened: () => {
        this.#isOpen = true
      },
      message: (bytes) => decodeDownstream(bytes, (frame) => this.frames.push(frame)),
      closed: (code, reason) => {
        this.ending = { code, reason }
      },
    })
  }

  /** Resolves when the WebSocket is open, or was refused. Nothing has been said then. */
  static async open(url: string): Promise<FrameClient> {
    const client = new FrameClient(url)
    await expect.poll(() => client.#isOpen || client.ending !== undefined, { timeout: 5_000, interval: 5 }).toBe(true)
    return client
  }

  /** Resolves when the relay has welcomed it. */
  static async greet(url: string, token = ''): Promise<FrameClient> {
    const client = await FrameClient.open(url)
    client.send(encodeFrame('HELLO', { versionMin: 1, versionMax: 1, clientId: 'frames', clientName: 'frames', token }))
    await client.next('WELCOME')
    return client
  }

  send(...frames: Uint8Array[]): void {
    for (const frame of frames) this.#connection.send([frame])
  }

  /** The `index`-th frame of this name, waited for. */
  async next<N extends DownstreamName>(name: N, index = 0): Promise<FrameNamed<N>> {
    const found = (): FrameNamed<N> | undefined =>
      this.frames.filter((frame): frame is FrameNamed<N> => frame.name === name)[index]
    await expect.poll(found, { timeout: 5_000, interval: 5 }).toBeDefined()
    return found() as FrameNamed<N>
  }

  /** How the connection ended, waited for. */
  async ended(): Promise<{ readonly code: number; readonly reason: string }> {
    await expect.poll(() => this.ending, { timeout: 10_000, interval: 5 }).toBeDefined()
    return this.ending as { readonly code: number; readonly reason: string }
  }

  close(): void {
    this.#connection.close(1000, '')
  }
}
