// The engine and the one connection that its pages share, without a browser.

import { afterEach, expect, test, vi } from 'vitest'
import { createSystemClock } from '../../server/system.ts'
import { InlineWorld } from './inline-world.ts'

let world: InlineWorld
afterEach(() => world.close())

test('a page that is opened while the relay is out of reach has the connection tried at once', async () => {
  let dialCount = 0
  world = new InlineWorld({
    // No wait for another try ever ends by itself.
    clock: { ...createSystemClock(), setTimer: () => () => {} },
    dial: () => ({
      dial(handler) {
        dialCount++
        queueMicrotask(() => handler.closed(1006, 'nobody is there'))
        return { peer: 'relay', bufferedBytes: 0, send() {}, pause() {}, resume() {}, close() {} }
      },
    }),
  })
  await world.start()
  const url = 'ws://relay.example'
  await world.page(url, { auth: 'old' }).client.connected
  await vi.waitFor(() => expect(dialCount).toBe(1))
  await world.page(url, { auth: 'new' }).client.connected
  await vi.waitFor(() => expect(dialCount).toBe(2))
})
