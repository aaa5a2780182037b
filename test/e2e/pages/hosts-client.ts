// A page that uses the package's own worker and engine, as an application does.

import { connect, type WebClient } from '../../../web-client/index.ts'
import type { HostKind } from '../../../web-client/port/port-protocol.ts'

export interface HostsClientPage {
  open(host: 'auto' | HostKind): Promise<string | undefined>
  /** Sends to a topic of this device; gives the message's id. */
  send(value: string): Promise<string>
  /** The first message of a group. */
  receive(group: string): Promise<unknown>
}

let client: WebClient | undefined

const probe: HostsClientPage = {
  async open(host) {
    client = await connect({ host })
    return client.getSnapshot().host
  },
  async send(value) {
    const { messageId } = await (client as WebClient).topic<string>('words').send(value)
    return messageId
  },
  async receive(group) {
    for await (const message of (client as WebClient).topic<string>('words').consume({ group, from: 'earliest' })) {
      await message.ack()
      return message.value
    }
    return undefined
  },
}

Object.assign(window, { probe })
