// A dialler that is switched off and on: what is connected is cut as by a network that is gone, and nothing connects
// meanwhile.

import { describe, expect, test } from 'vitest'
import type { Connection, ConnectionHandler, Dialler } from '../../core/ports/transport.ts'
import { SwitchedDialler } from '../../web-client/engine/switched-dialler.ts'

/** A dialler whose connections the test opens and ends, and what came of each. */
function createWorld() {
  const handlers: ConnectionHandler[] = []
  const closedCodes: number[] = []
  const dialler: Dialler = {
    dial(handler): Connection {
      handlers.push(handler)
      return {
        bufferedBytes: 0, peer: 'relay', send: () => {}, pause: () => {}, resume: () => {},
        close: (code) => void closedCodes.push(code),
      }
    },
  }
  const heard: string[] = []
  const handler: ConnectionHandler = {
    opened: () => void heard.push('opened'),
    message: (bytes) => void heard.push(`message ${bytes.length}`),
    drained: () => void heard.push('drained'),
    closed: (code) => void heard.push(`closed ${code}`),
  }
  return { handlers, closedCodes, heard, handler, switched: new SwitchedDialler(dialler) }
}

describe('a switched dialler', () => {
  test('passes everything on while it is on', () => {
    const { handlers, heard, handler, switched } = createWorld()
    switched.dial(handler)
    handlers[0]?.opened?.()
    handlers[0]?.message(new Uint8Array(3))
    handlers[0]?.drained?.()
    handlers[0]?.closed(1000, '')
    expect(heard).toEqual(['opened', 'message 3', 'drained', 'closed 1000'])
  })

  test('cuts what is connected, tells it once and not from within a call, and lets nothing more be heard', async () => {
    const { handlers, closedCodes, heard, handler, switched } = createWorld()
    switched.dial(handler)
    handlers[0]?.opened?.()
    switched.setOffline(true)
    expect(heard).toEqual(['opened'])
    await Promise.resolve()
    handlers[0]?.message(new Uint8Array(3))
    handlers[0]?.closed(1000, '')
    switched.setOffline(true)
    await Promise.resolve()
    expect(heard).toEqual(['opened', 'closed 1006'])
    expect(closedCodes).toEqual([1000])
  })

  test('dials nobody while it is off, and dials again when it is on', async () => {
    const { handlers, heard, handler, switched } = createWorld()
    switched.setOffline(true)
    switched.dial(handler)
    expect(heard).toEqual([])
    await Promise.resolve()
    expect([heard, handlers.length]).toEqual([['closed 1006'], 0])
    switched.setOffline(false)
    switched.dial(handler)
    handlers[0]?.opened?.()
    expect(heard).toEqual(['closed 1006', 'opened'])
  })
})
