// A WebSocket client of hand-made bytes, for requests and frames that no honest client would send.

import { connect, type Socket } from 'node:net'

export interface CloseFrame {
  readonly code: number
  readonly reason: string
}

/** A socket to 127.0.0.1 whose bytes are written by hand and kept as they come. */
export class RawWebSocket {
  readonly socket: Socket
  #received = Buffer.alloc(0)
  #isEnded = false
  #onChange: (() => void)[] = []

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1' })
    this.socket.on('data', (bytes: Buffer) => {
      this.#received = Buffer.concat([this.#received, bytes])
      this.#changed()
    })
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      this.#isEnded = true
      this.#changed()
    })
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  get text(): string {
    return this.#received.toString('latin1')
  }

  get status(): number {
    return Number(/^HTTP\/1\.1 (\d+)/.exec(this.text)?.[1])
  }

  header(name: string): string | undefined {
    return new RegExp(`^${name}: (.*)\r$`, 'im').exec(this.text)?.[1]
  }

  /** The first close frame among the small frames that came. */
  get closeFrame(): CloseFrame | undefined {
    let position = this.text.indexOf('\r\n\r\n') + 4
    while (position + 2 <= this.#received.length) {
      const size = this.#received[position + 1] as number
      if (size > 125) return undefined
      const payload = this.#received.subarray(position + 2, position + 2 + size)
      if (this.#received[position] === 0x88) {
        return { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() }
      }
      position += 2 + size
    }
    return undefined
  }

  async until(isMet: () => boolean): Promise<void> {
    while (!isMet()) {
      await new Promise<void>((resolve) => {
        this.#onChange.push(resolve)
      })
    }
  }

  untilEnded(): Promise<void> {
    return this.until(() => this.#isEnded)
  }

  async answer(): Promise<this> {
    await this.until(() => this.text.includes('\r\n\r\n') || this.#isEnded)
    return this
  }

  #changed(): void {
    for (const tell of this.#onChange.splice(0)) tell()
  }
}

const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9 } as const

/** A frame with a mask of zeros, of at most 125 bytes. */
export function frame(opcode: keyof typeof opcodes, payload: Uint8Array, isFinal = true): Buffer {
  const head = [(isFinal ? 0x80 : 0) | opcodes[opcode], 0x80 | payload.length, 0, 0, 0, 0]
  return Buffer.concat([Buffer.from(head), payload])
}
