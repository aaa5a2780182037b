// When a page counts as connected, and what it says of the engine from then on.

import { expect, test } from 'vitest'
import type { AttachEvents } from '../../web-client/hosts/attach.ts'
import { PageClient } from '../../web-client/page/page-client.ts'
import { type EngineStatus, portVersion } from '../../web-client/port/port-protocol.ts'

const status: EngineStatus = {
  link: 'none', isOffline: false, outboxCount: 0, outboxBytes: 0, lag: 0, storage: 'indexeddb', usedBytes: 7, tabCount: 2,
}

/** A client that an engine welcomes and does not answer until it is told to. */
function welcomed(relayUrl?: string) {
  let events: AttachEvents | undefined
  const client = new PageClient((_, told) => {
    events = told
    return { tabId: 'tab', isLeader: false, close: async () => {} }
  }, relayUrl, { persist: false })
  let isConnected = false
  client.connected.then(() => (isConnected = true), () => {})
  let configureId = -1
  let hear: (message: unknown) => void = () => {}
  events?.attached({
    post: (message) => {
      const { path, id } = message as { path?: readonly string[]; id?: number }
      if (path?.[0] === 'configure' && id !== undefined) configureId = id
    },
    listen: (listener) => {
      hear = listener
      return () => {}
    },
    close() {},
  }, { kind: 'welcome', portVersion, build: 'test', instanceId: 'life', host: 'shared', status })
  const answer = (value: object) => hear({ id: configureId, type: 'RAW', value })
  return { client, isConnected: () => isConnected, answer }
}

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve))

test('without a relay a page is connected at the welcome, which says how things stand', async () => {
  const { client, isConnected, answer } = welcomed()
  await turn()
  expect(isConnected()).toBe(true)
  expect(client.getSnapshot()).toMatchObject({ ...status, engine: 'running', host: 'shared', role: 'follower' })
  answer({ value: { ...status, usedBytes: 9 } })
  await turn()
  expect(client.getSnapshot()).toMatchObject({ usedBytes: 9 })
})

test('with a relay it is once the engine has taken that', async () => {
  const taken = welcomed('ws://relay.example')
  await turn()
  expect(taken.isConnected()).toBe(false)
  taken.answer({ value: { ...status, link: 'connecting' } })
  await turn()
  expect(taken.isConnected()).toBe(true)
  const refused = welcomed('ws://other.example')
  refused.answer({ error: { code: 'BAD_ARGUMENT', message: 'the tabs of this name use another relay' } })
  await expect(refused.client.connected).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
  expect(refused.client.getSnapshot()).toMatchObject({ engine: 'ended', engineError: { code: 'BAD_ARGUMENT' } })
})
