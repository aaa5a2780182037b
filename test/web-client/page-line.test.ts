// The page's side of calls, against comlink as engines have it: asked and answered in its form, over one engine and the next.

import { expose } from 'comlink'
import { afterEach, expect, test } from 'vitest'
import { PocketError } from '../../core/errors.ts'
import { PageLine } from '../../web-client/page/page-line.ts'
import { endpointOf, portOf } from '../../web-client/port/engine-port.ts'

const open: MessagePort[] = []
afterEach(() => {
  for (const port of open.splice(0)) port.close()
})

/** An engine with these calls, and the line of a page to it. */
function engineWith(api: object) {
  const { port1, port2 } = new MessageChannel()
  open.push(port1, port2)
  expose(api, endpointOf(portOf(port1)))
  return portOf(port2)
}

const newLine = () => new PageLine(() => {})
const lost = new PocketError('ENGINE_LOST', 'the engine ended')

test('a call gives its value, or throws the error of the other side with its code', async () => {
  const line = newLine()
  line.attached(engineWith({
    setOffline: (isOffline: boolean) => ({ value: isOffline }),
    closeProducer: (producer: number) => ({ error: { code: 'OVERLOADED', message: `no ${producer}`, retryAfterMs: 7 } }),
  }))
  await expect(line.call('setOffline', [true])).resolves.toBe(true)
  await expect(line.call('closeProducer', [3])).rejects.toMatchObject({
    code: 'OVERLOADED', message: 'no 3', retryAfterMs: 7,
  })
})

test('what cannot be sent is BAD_ARGUMENT, and the next call goes through', async () => {
  const line = newLine()
  line.attached(engineWith({ setOffline: () => ({ value: undefined }) }))
  await expect(line.call('setOffline', [(() => {}) as never])).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
  await expect(line.call('setOffline', [true])).resolves.toBeUndefined()
})

test('what the engine cannot send is INTERNAL', async () => {
  const line = newLine()
  line.attached(engineWith({ setOffline: () => ({ value: () => {} }) }))
  await expect(line.call('setOffline', [true])).rejects.toMatchObject({ code: 'INTERNAL' })
})

test('a call that may be repeated is asked of the next engine, and answered by that; others fail with ENGINE_LOST', async () => {
  const line = newLine()
  const late: ((answer: object) => void)[] = []
  line.attached(engineWith({
    receive: () => new Promise((resolve) => void late.push(resolve)),
    setOffline: () => new Promise(() => {}),
  }))
  const safe = line.call('receive', [1, {}], true)
  const unsafe = line.call('setOffline', [true])
  await expect.poll(() => late.length).toBe(1)
  line.lost(lost)
  await expect(unsafe).rejects.toBe(lost)
  late[0]?.({ value: 'of the first' })
  line.attached(engineWith({ receive: () => ({ value: 'of the second' }) }))
  await expect(safe).resolves.toBe('of the second')
})

test('calls made before there is an engine wait for the first, and end with the line', async () => {
  const line = newLine()
  const early = line.call('setOffline', [false])
  line.attached(engineWith({ setOffline: () => ({ value: 'asked' }) }))
  await expect(early).resolves.toBe('asked')
  line.lost(lost)
  const late = line.call('setOffline', [true])
  const end = new PocketError('CLOSED', 'the client is closed')
  line.ended(end)
  await expect(late).rejects.toBe(end)
  await expect(line.call('setOffline', [true])).rejects.toBe(end)
})
