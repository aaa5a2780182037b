// A relay in the test's process that goes and comes: its address and what it stored stay.

import type { Limits } from '../../../core/limits.ts'
import type { Store } from '../../../core/ports/store.ts'
import type { Authenticate } from '../../../core/session/auth.ts'
import { createMemoryStore } from '../../../core/storage/memory-store.ts'
import { type Client, connect } from '../../../server/connect.ts'
import { type Relay, startRelay } from '../../../server/relay.ts'
import { createSystemClock } from '../../../server/system.ts'

export interface RelayBoxOptions {
  readonly authenticate?: Authenticate
  readonly limits?: Partial<Limits>
}

export class RelayBox implements AsyncDisposable {
  readonly #options: RelayBoxOptions
  readonly #store: Store = createMemoryStore({ clock: createSystemClock() })
  #port = 0
  #relay: Relay | undefined

  private constructor(options: RelayBoxOptions) {
    this.#options = options
  }

  /** Resolves when it runs. What a dead client held is free again soon. */
  static async start(options: RelayBoxOptions = {}): Promise<RelayBox> {
    const box = new RelayBox(options)
    await box.start()
    return box
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port}`
  }

  async start(): Promise<void> {
    const { authenticate, limits } = this.#options
    this.#relay = await startRelay(
      { port: this.#port, origins: ['*'], limits: { memberGraceMs: 200, ...limits } },
      { store: this.#store, ...(authenticate === undefined ? {} : { authenticate }) },
    )
    this.#port = this.#relay.port
  }

  async stop(): Promise<void> {
    await this.#relay?.close()
    this.#relay = undefined
  }

  /** A client of this process, beside the browsers. */
  connect(token = ''): Promise<Client> {
    return connect(this.url, { auth: token })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await this.#store.close()
  }
}

/** The names of all messages in a topic's first queue. */
export async function storedAt(client: Client, topic: string): Promise<string[]> {
  const names: string[] = []
  for await (const batch of client.topic<{ name: string }>(topic).pull({ queueId: 0, untilEnd: true })) {
    names.push(...batch.map(({ value }) => value.name))
  }
  return names
}
