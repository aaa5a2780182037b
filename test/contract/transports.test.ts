// The transport contract for every transport that runs on Node, and what only the in-memory one promises.

import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { defaultLimits } from '../../core/limits.ts'
import { silentLog } from '../../core/ports/log.ts'
import type { Connection, ConnectionHandler } from '../../core/ports/transport.ts'
import { createInProcessListener } from '../../core/session/in-process-transport.ts'
import { createSystemClock } from '../../server/system.ts'
import { createWsAcceptor, relayHttpOptions } from '../../server/upgrade.ts'
import { createWsDialler } from '../../server/ws-dialler.ts'
import { frameParts, joinBelowBytes } from '../../server/ws-transport.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { transportContract } from './transport-contract.ts'

const realClock = createSystemClock()

transportContract('in process', (accept, sendBufferBytesMax) => {
  const listener = createInProcessListener({ clock: realClock, accept, sendBufferBytesMax })
  const closedListener = createInProcessListener({ clock: realClock, accept })
  closedListener.close()
  return Promise.resolve({
    dialler: listener,
    refusedDialler: closedListener,
    close() {
      listener.close()
      return Promise.resolve()
    },
  })
})

transportContract('ws on loopback', async (accept, sendBufferBytesMax) => {
  const frameBytesMax = 2 * 1024 * 1024
  const server = createServer(relayHttpOptions)
  const sockets: Socket[] = []
  server.on('connection', (socket: Socket) => sockets.push(socket))
  const limits = { ...defaultLimits, frameBytesMax, sendBufferBytesMax }
  const acceptor = createWsAcceptor({ server, limits, clock: realClock, log: silentLog, accept })
  const port = await listen(server)
  const closedServer = createServer()
  const closedPort = await listen(closedServer)
  await closeServer(closedServer)
  return {
    dialler: createWsDialler({ url: `ws://127.0.0.1:${port}`, clock: realClock, sendBufferBytesMax }),
    refusedDialler: createWsDialler({ url: `ws://127.0.0.1:${closedPort}`, clock: realClock }),
    frameBytesMax,
    cut: (index) => sockets[index]?.destroy(),
    async close() {
      await acceptor.close()
      await closeServer(server)
    },
  }
})

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

describe('connections in memory', () => {
  /** Writes each event as one word: `A:3` is a message of 3 bytes heard by A. */
  function listenTo(name: string, events: string[]): ConnectionHandler {
    return {
      opened: () => events.push(`${name}:opened`),
      message: (bytes) => events.push(`${name}:${bytes.length}`),
      drained: () => events.push(`${name}:drained`),
      closed: (code, reason) => events.push(`${name}:closed ${code} ${reason}`),
    }
  }

  function connect(sendBufferBytesMax = 100) {
    const clock = new SimClock()
    const events: string[] = []
    let accepted: Connection | undefined
    const listener = createInProcessListener({
      clock,
      sendBufferBytesMax,
      accept(connection) {
        accepted = connection
        return listenTo('B', events)
      },
    })
    const a = listener.dial(listenTo('A', events))
    clock.runTurn()
    if (accepted === undefined) throw new Error('nothing was accepted')
    return { clock, events, a, b: accepted, listener }
  }

  function sized(size: number): Uint8Array[] {
    return [new Uint8Array(size)]
  }

  test('all that is sent in one turn arrives in the next, and a reply in the one after', () => {
    const { clock, events, a, b } = connect()
    a.send(sized(1))
    a.send(sized(2))
    b.send(sized(3))
    expect(events).toEqual(['A:opened'])
    clock.runTurn()
    expect(events).toEqual(['A:opened', 'B:1', 'B:2', 'A:3'])
    b.send(sized(4))
    clock.runTurn()
    expect(events.at(-1)).toBe('A:4')
    expect(clock.isIdle).toBe(true)
  })

  test('bufferedBytes counts exactly what was sent and not delivered', () => {
    const { clock, events, a, b } = connect()
    b.pause()
    a.send([new Uint8Array(30), new Uint8Array(20)])
    a.send(sized(60))
    clock.runTurn()
    expect(a.bufferedBytes).toBe(110)
    expect(b.bufferedBytes).toBe(0)
    b.resume()
    clock.runTurn()
    expect(a.bufferedBytes).toBe(0)
    clock.runTurn()
    expect(events).toEqual(['A:opened', 'B:50', 'B:60', 'A:drained'])
  })

  test('is not drained before half of the mark is free, and not without having been above', () => {
    const { clock, events, a, b } = connect()
    a.send(sized(99))
    clock.runTurn()
    clock.runTurn()
    expect(events).toEqual(['A:opened', 'B:99'])
    b.pause()
    for (let count = 0; count < 10; count++) a.send(sized(10))
    b.resume()
    clock.runTurn()
    clock.runTurn()
    a.send(sized(60))
    clock.runTurn()
    clock.runTurn()
    expect(events.filter((event) => event === 'A:drained').length).toBe(1)
    expect(clock.isIdle).toBe(true)
  })

  test('what is sent while a delivery is under way comes after it, also across a pause', () => {
    const clock = new SimClock()
    const heard: number[] = []
    let accepted: Connection | undefined
    const listener = createInProcessListener({
      clock,
      accept(connection) {
        accepted = connection
        return {
          message(bytes) {
            heard.push(bytes.length)
            if (bytes.length !== 1) return
            a.send(sized(3))
            connection.pause()
          },
          closed() {},
        }
      },
    })
    const a = listener.dial({ message() {}, closed() {} })
    clock.runTurn()
    a.send(sized(1))
    a.send(sized(2))
    clock.runTurn()
    expect(heard).toEqual([1])
    accepted?.resume()
    clock.runTurn()
    expect(heard).toEqual([1, 2, 3])
  })

  test('the far end hears nothing more once it is closed, not even that its sends were taken', () => {
    const { clock, events, a, b } = connect()
    b.send(sized(200))
    a.close(4001, 'bye')
    expect(b.bufferedBytes).toBe(0)
    b.send(sized(5))
    clock.runTurn()
    clock.runTurn()
    expect(events).toEqual(['A:opened', 'A:closed 4001 bye', 'B:closed 4001 bye'])
    expect(clock.isIdle).toBe(true)
  })

  test('an idle pair leaves nothing to do', () => {
    const { clock, a } = connect()
    expect(clock.isIdle).toBe(true)
    a.pause()
    a.resume()
    clock.runTurn()
    expect(clock.isIdle).toBe(true)
  })

  test('a handler that throws loses its own message only', () => {
    const clock = new SimClock()
    const heard: number[] = []
    const listener = createInProcessListener({
      clock,
      accept: () => ({
        message(bytes) {
          heard.push(bytes.length)
          if (bytes.length === 2) throw new Error('a bug')
        },
        closed() {},
      }),
    })
    const a = listener.dial({ message() {}, closed() {} })
    clock.runTurn()
    for (const size of [1, 2, 3]) a.send(sized(size))
    expect(() => clock.runTurn()).toThrow('a bug')
    clock.runTurn()
    expect(heard).toEqual([1, 2, 3])
    expect(a.bufferedBytes).toBe(0)
  })

  test('a listener that is closed refuses what is dialled, also when it was dialled just before', () => {
    const { clock, events, listener, a } = connect()
    listener.dial(listenTo('C', events))
    listener.close()
    clock.runTurn()
    clock.runTurn()
    expect(events.at(-1)).toBe('C:closed 1006 nobody listens')
    a.send(sized(1))
    clock.runTurn()
    expect(events.at(-1)).toBe('B:1')
  })
})

describe('frames of the relay', () => {
  test('small chunks are joined with the header, large ones are passed as they are', () => {
    const large = new Uint8Array(joinBelowBytes)
    const parts = frameParts([new Uint8Array(5), new Uint8Array(6), large, new Uint8Array(7), new Uint8Array(8)])
    expect(parts.map((part) => part.length)).toEqual([4 + 11, joinBelowBytes, 15])
    expect(parts[1]).toBe(large)
  })

  test.each([
    [0, [0x82, 0]],
    [125, [0x82, 125]],
    [126, [0x82, 126, 0, 126]],
    [65_535, [0x82, 126, 0xff, 0xff]],
    [65_536, [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]],
  ])('a payload of %i bytes has the header of RFC 6455', (size, header) => {
    const [first] = frameParts([new Uint8Array(size)])
    expect([...(first ?? []).slice(0, header.length)]).toEqual(header)
  })
})
