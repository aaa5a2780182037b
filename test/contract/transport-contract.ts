// What every transport promises (core/ports/transport.ts), as a suite: `transportContract(name, open)` registers it for
// one. A case that a transport cannot have is skipped with the reason in its name.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isReconnectable } from '../../core/model/close-codes.ts'
import type { Connection, ConnectionHandler, Dialler } from '../../core/ports/transport.ts'

/** One transport under test: somewhere to dial, and who answers is given to {@link OpenTransportWorld}. */
export interface TransportWorld {
  readonly dialler: Dialler
  /** Dials where nobody listens. */
  readonly refusedDialler: Dialler
  /** Largest message the accepting side takes, where there is such a limit. */
  readonly frameBytesMax?: number
  /** Breaks the line under the connection that was accepted as number `index`, without a word to either side. */
  readonly cut?: (index: number) => void
  close(): Promise<void>
}

export type Accept = (connection: Connection) => ConnectionHandler

/** Opens a world whose connections have `sendBufferBytesMax` as their high-water mark. */
export type OpenTransportWorld = (accept: Accept, sendBufferBytesMax: number) => Promise<TransportWorld>

const sendBufferBytesMax = 64 * 1024
const mebibyte = 1024 * 1024

type SideEvent =
  | { readonly kind: 'opened' | 'drained' }
  | { readonly kind: 'message'; readonly bytes: Uint8Array }
  | { readonly kind: 'closed'; readonly code: number; readonly reason: string }

/** One end: keeps what it is told and lets a test wait for it. Fails the test when it is told from within a call. */
class Side implements ConnectionHandler {
  readonly events: SideEvent[] = []
  onMessage: ((bytes: Uint8Array) => void) | undefined
  #connection: Connection | undefined
  #callDepth = 0
  #waiting: { readonly isMet: () => boolean; readonly meet: () => void }[] = []

  get connection(): Connection {
    if (this.#connection === undefined) throw new Error('not connected')
    return this.#connection
  }

  set connection(connection: Connection) {
    this.#connection = connection
  }

  /** The messages so far. */
  get messages(): Uint8Array[] {
    return this.events.flatMap((event) => (event.kind === 'message' ? [event.bytes] : []))
  }

  count(kind: SideEvent['kind']): number {
    return this.events.filter((event) => event.kind === kind).length
  }

  get ending(): { code: number; reason: string } | undefined {
    const last = this.events.at(-1)
    return last?.kind === 'closed' ? { code: last.code, reason: last.reason } : undefined
  }

  opened(): void {
    this.#record({ kind: 'opened' })
  }

  message(bytes: Uint8Array): void {
    this.#record({ kind: 'message', bytes })
    this.onMessage?.(bytes)
  }

  drained(): void {
    this.#record({ kind: 'drained' })
  }

  closed(code: number, reason: string): void {
    this.#record({ kind: 'closed', code, reason })
  }

  send(...chunks: Uint8Array[]): void {
    this.call((connection) => connection.send(chunks))
  }

  close(code: number, reason: string): void {
    this.call((connection) => connection.close(code, reason))
  }

  /** Calls the connection; nothing may be told meanwhile. */
  call(work: (connection: Connection) => void): void {
    this.#callDepth++
    work(this.connection)
    this.#callDepth--
  }

  /** Resolves when `isMet`, which is asked now and after each event. */
  until(isMet: () => boolean): Promise<void> {
    if (isMet()) return Promise.resolve()
    return new Promise((resolve) => {
      this.#waiting.push({ isMet, meet: resolve })
    })
  }

  untilMessages(count: number): Promise<void> {
    return this.until(() => this.count('message') >= count)
  }

  untilClosed(): Promise<void> {
    return this.until(() => this.ending !== undefined)
  }

  #record(event: SideEvent): void {
    expect(this.#callDepth, `${event.kind} was told from within a call`).toBe(0)
    expect(this.ending, `${event.kind} was told after the end`).toBeUndefined()
    this.events.push(event)
    const waiting = this.#waiting
    this.#waiting = []
    for (const waiter of waiting) {
      if (waiter.isMet()) waiter.meet()
      else this.#waiting.push(waiter)
    }
  }
}

function numbered(number: number, size = 8): Uint8Array {
  const bytes = new Uint8Array(size).fill(number)
  new DataView(bytes.buffer).setUint32(0, number)
  return bytes
}

function numberOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
}

/** Bytes in which a shift or a swap shows. */
function pattern(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size)
  let value = seed
  for (let index = 0; index < size; index++) {
    value = (Math.imul(value, 1_103_515_245) + 12_345) >>> 0
    bytes[index] = value >>> 16
  }
  return bytes
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(chunks))
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}

export interface TransportTraits {
  /** Why a dialling side that pauses can't slow its peer down, where that is so. */
  readonly noFlowControl?: string
}

export function transportContract(name: string, open: OpenTransportWorld, { noFlowControl }: TransportTraits = {}): void {
  const flowTitle = (title: string) => (noFlowControl === undefined ? title : `${title} (not here: ${noFlowControl})`)
  describe(`the transport contract: ${name}`, () => {
    let world: TransportWorld
    let acceptedSides: Side[]
    let newlyAccepted: ((side: Side) => void) | undefined

    beforeEach(async () => {
      acceptedSides = []
      newlyAccepted = undefined
      world = await open((connection) => {
        const side = new Side()
        side.connection = connection
        acceptedSides.push(side)
        newlyAccepted?.(side)
        return side
      }, sendBufferBytesMax)
    })

    afterEach(async () => {
      await world.close()
    })

    function dial(dialler: Dialler = world.dialler): Side {
      const side = new Side()
      side.connection = dialler.dial(side)
      return side
    }

    interface Pair {
      readonly dialling: Side
      readonly accepting: Side
    }

    async function connect(): Promise<Pair> {
      const accepted = new Promise<Side>((resolve) => {
        newlyAccepted = resolve
      })
      const dialling = dial()
      await dialling.until(() => dialling.count('opened') === 1)
      return { dialling, accepting: await accepted }
    }

    /** Lets pass what is under way: several round trips of another connection. */
    async function otherTraffic({ dialling, accepting }: Pair): Promise<void> {
      for (let round = 0; round < 5; round++) {
        const [there, back] = [accepting.count('message') + 1, dialling.count('message') + 1]
        dialling.send(numbered(round))
        await accepting.untilMessages(there)
        accepting.send(numbered(round))
        await dialling.untilMessages(back)
      }
    }

    const fillChunk = pattern(256 * 1024)

    /** Sends to a peer that takes nothing until much is buffered for good; returns how many messages that took. */
    async function fillUp(sender: Side, other: Pair): Promise<number> {
      let sentCount = 0
      // The system's own buffers take some megabytes first, and grow while they do.
      while (sender.connection.bufferedBytes < 8 * sendBufferBytesMax) {
        expect(sentCount, 'the peer takes it all').toBeLessThan(400)
        for (let count = 0; count < 4; count++) sender.send(fillChunk)
        sentCount += 4
        await otherTraffic(other)
      }
      return sentCount
    }

    type Role = keyof Pair
    const roles: readonly { readonly from: Role; readonly to: Role }[] = [
      { from: 'dialling', to: 'accepting' },
      { from: 'accepting', to: 'dialling' },
    ]

    test('tells the dialling side that it is open, first and once, and not before dial has returned', async () => {
      const dialling = dial()
      expect(dialling.events).toEqual([])
      await dialling.until(() => dialling.events.length > 0)
      expect(dialling.events).toEqual([{ kind: 'opened' }])
      expect(dialling.connection.peer).not.toBe('')
    })

    test('an accepted connection is open already', async () => {
      newlyAccepted = (side) => side.send(numbered(7))
      const dialling = dial()
      await dialling.untilMessages(1)
      expect(dialling.events.map((event) => event.kind)).toEqual(['opened', 'message'])
      expect(acceptedSides[0]?.connection.peer).not.toBe('')
      expect(acceptedSides[0]?.count('opened')).toBe(0)
    })

    test.each(roles)('delivers in order, from the $from side', async ({ from, to }) => {
      const pair = await connect()
      for (const number of range(2_000)) pair[from].send(numbered(number))
      await pair[to].untilMessages(2_000)
      expect(pair[to].messages.map(numberOf)).toEqual(range(2_000))
    })

    test('carries both directions at once', async () => {
      const { dialling, accepting } = await connect()
      accepting.onMessage = (bytes) => accepting.send(bytes)
      for (const number of range(500)) dialling.send(numbered(number, 8 + number * 5))
      await dialling.untilMessages(500)
      const sent = range(500).map((number) => numbered(number, 8 + number * 5))
      expect(Buffer.compare(joined(dialling.messages), joined(sent))).toBe(0)
      expect(dialling.messages.map((bytes) => bytes.length)).toEqual(sent.map((bytes) => bytes.length))
    })

    const chunkSizes: Record<string, number[]> = {
      'no chunks at all': [],
      'one empty chunk': [0],
      'empty chunks between others': [0, 3, 0, 0, 5, 0],
      'one byte': [1],
      '70 small chunks': range(70).map((index) => index % 7),
      '70 chunks of 1 KiB': range(70).map(() => 1024),
      'a small head and a large body': [40, 10_240],
      'large chunks around small ones': [2_000, 20, 30, 1_023, 1_024, 1_025, 4, 9_000, 1],
      'a payload of 125 bytes': [100, 25],
      'a payload of 126 bytes': [100, 26],
      'a payload of 65,535 bytes': [65_000, 535],
      'a payload of 65,536 bytes': [65_000, 536],
      '1 MiB in one chunk': [mebibyte],
      '1 MiB behind a head': [17, mebibyte - 17],
    }

    for (const { from, to } of roles) {
      test.each(Object.entries(chunkSizes))(`makes one message of %s, from the ${from} side`, async (_, sizes) => {
        const pair = await connect()
        const chunks = sizes.map((size, index) => pattern(size, index + 1))
        pair[from].send(...chunks)
        pair[from].send(numbered(1))
        await pair[to].untilMessages(2)
        expect(Buffer.compare(joined(pair[to].messages.slice(0, 1)), joined(chunks))).toBe(0)
        expect(pair[to].messages.slice(1)).toEqual([numbered(1)])
      })
    }

    test.each(roles)('keeps every byte of views into larger buffers, from the $from side', async ({ from, to }) => {
      const pair = await connect()
      const backing = pattern(5_000)
      const chunks = [backing.subarray(3, 259), backing.subarray(1_001, 4_001)]
      const before = joined(chunks)
      pair[from].send(...chunks)
      await pair[to].untilMessages(1)
      expect(joined(pair[to].messages)).toEqual(before)
      expect(joined(chunks)).toEqual(before)
      expect(pair[to].messages[0]?.constructor).toBe(Uint8Array)
    })

    test.each(roles)('leaves received bytes as they are while more comes, to the $to side', async ({ from, to }) => {
      const pair = await connect()
      const first = pattern(300)
      pair[from].send(first)
      await pair[to].untilMessages(1)
      for (const number of range(500)) pair[from].send(pattern(1_000, number))
      await pair[to].untilMessages(501)
      expect(pair[to].messages[0]).toEqual(first)
    })

    test.each(roles)('both sides are told the code and the reason of the $from side, once', async ({ from, to }) => {
      const pair = await connect()
      pair[from].close(4001, 'too slow → resume')
      await Promise.all([pair[from].untilClosed(), pair[to].untilClosed()])
      expect(pair[to].ending).toEqual({ code: 4001, reason: 'too slow → resume' })
      expect(pair[from].ending).toEqual({ code: 4001, reason: 'too slow → resume' })
      expect(pair[from].count('closed') + pair[to].count('closed')).toBe(2)
    })

    test.each(roles)('delivers all that the $from side sent before it closed', async ({ from, to }) => {
      const pair = await connect()
      for (const number of range(300)) pair[from].send(numbered(number, 10_000))
      pair[from].close(1000, 'done')
      await pair[to].untilClosed()
      expect(pair[to].messages.map(numberOf)).toEqual(range(300))
      expect(pair[to].ending).toEqual({ code: 1000, reason: 'done' })
    })

    test.each(roles)('cuts a reason that a close frame cannot hold, from the $from side', async ({ from, to }) => {
      const pair = await connect()
      const reason = 'a €'.repeat(200)
      pair[from].close(4000, reason)
      await Promise.all([pair[from].untilClosed(), pair[to].untilClosed()])
      const heard = pair[to].ending?.reason ?? ''
      expect(heard.length).toBeGreaterThan(60)
      expect(reason.startsWith(heard)).toBe(true)
    })

    test.each(roles)('a send after the end does nothing, on the $from side', async ({ from, to }) => {
      const pair = await connect()
      pair[from].close(1000, '')
      pair[from].send(numbered(1))
      pair[to].send(numbered(2))
      await Promise.all([pair[from].untilClosed(), pair[to].untilClosed()])
      pair[from].send(numbered(3))
      pair[to].send(numbered(4))
      await otherTraffic(await connect())
      expect(pair[from].messages).toEqual([])
      expect(pair[to].messages).toEqual([])
      expect(pair[from].connection.bufferedBytes).toBe(0)
      expect(pair[to].connection.bufferedBytes).toBe(0)
    })

    test('a send before it is open does nothing', async () => {
      const dialling = dial()
      dialling.send(numbered(1))
      await dialling.until(() => dialling.count('opened') === 1)
      dialling.send(numbered(2))
      await expect.poll(() => acceptedSides[0]?.count('message')).toBe(1)
      expect(acceptedSides[0]?.messages).toEqual([numbered(2)])
    })

    test.each(roles)('closing again does nothing, on the $from side', async ({ from, to }) => {
      const pair = await connect()
      pair[from].close(4001, 'first')
      pair[from].close(4002, 'second')
      await Promise.all([pair[from].untilClosed(), pair[to].untilClosed()])
      pair[from].close(4003, 'third')
      pair[to].close(4004, 'fourth')
      await otherTraffic(await connect())
      expect(pair[from].ending).toEqual({ code: 4001, reason: 'first' })
      expect(pair[to].ending).toEqual({ code: 4001, reason: 'first' })
    })

    test('both sides may close at once, and each hears its own code', async () => {
      const { dialling, accepting } = await connect()
      dialling.close(1000, 'dialling')
      accepting.close(4000, 'accepting')
      await Promise.all([dialling.untilClosed(), accepting.untilClosed()])
      expect(dialling.ending).toEqual({ code: 1000, reason: 'dialling' })
      expect(accepting.ending).toEqual({ code: 4000, reason: 'accepting' })
    })

    test.each(roles)('after its own close the $to side hears no more messages', async ({ from, to }) => {
      const pair = await connect()
      const receiver = pair[to]
      receiver.onMessage = () => {
        if (receiver.count('message') === 3) receiver.close(4001, 'enough')
      }
      for (const number of range(2_000)) pair[from].send(numbered(number, 100))
      await Promise.all([pair[from].untilClosed(), pair[to].untilClosed()])
      expect(receiver.messages.map(numberOf)).toEqual([0, 1, 2])
      expect(pair[from].ending).toEqual({ code: 4001, reason: 'enough' })
    })

    test.each(roles)('pausing stops messages to the $to side, and resuming loses none', async ({ from, to }) => {
      const pair = await connect()
      const other = await connect()
      const receiver = pair[to]
      receiver.onMessage = () => {
        if (receiver.count('message') % 400 === 3) receiver.call((connection) => connection.pause())
      }
      for (const number of range(1_000)) pair[from].send(numbered(number, 200))
      for (const heardCount of [3, 403, 803]) {
        await receiver.untilMessages(heardCount)
        await otherTraffic(other)
        expect(receiver.count('message')).toBe(heardCount)
        receiver.call((connection) => connection.resume())
      }
      await receiver.untilMessages(1_000)
      expect(receiver.messages.map(numberOf)).toEqual(range(1_000))
    })

    const slowsTitle = flowTitle('a side that paused before it was open slows its peer, and hears messages once it resumes')
    // A transport that says `noFlowControl` cannot stop its platform from reading; its reason stands in the title.
    test.skipIf(noFlowControl !== undefined)(slowsTitle, async () => {
      const other = await connect()
      const accepted = new Promise<Side>((resolve) => {
        newlyAccepted = resolve
      })
      const dialling = dial()
      dialling.call((connection) => connection.pause())
      await dialling.until(() => dialling.count('opened') === 1)
      const sentCount = await fillUp(await accepted, other)
      expect(dialling.messages).toEqual([])
      dialling.call((connection) => connection.resume())
      await dialling.untilMessages(sentCount)
    })

    test.each(roles)('a paused $to side hears of the end once it has resumed', async ({ from, to }) => {
      const pair = await connect()
      const other = await connect()
      const receiver = pair[to]
      receiver.onMessage = () => receiver.call((connection) => connection.pause())
      for (const number of range(5)) pair[from].send(numbered(number))
      pair[from].close(4000, 'bye')
      for (const heardCount of range(5)) {
        await receiver.untilMessages(heardCount + 1)
        await otherTraffic(other)
        expect(receiver.events.length - receiver.count('opened')).toBe(heardCount + 1)
        receiver.call((connection) => connection.resume())
      }
      await receiver.untilClosed()
      expect(receiver.ending).toEqual({ code: 4000, reason: 'bye' })
    })

    test.each(roles)('a paused $to side can close and is told the end without resuming', async ({ from, to }) => {
      const pair = await connect()
      pair[to].onMessage = () => pair[to].call((connection) => connection.pause())
      for (const number of range(100)) pair[from].send(numbered(number, 5_000))
      await pair[to].untilMessages(1)
      pair[to].close(4002, 'gone')
      await Promise.all([pair[from].untilClosed(), pair[to].untilClosed()])
      expect(pair[to].messages.map(numberOf)).toEqual([0])
      expect(pair[to].ending).toEqual({ code: 4002, reason: 'gone' })
      expect(pair[from].ending).toEqual({ code: 4002, reason: 'gone' })
    })

    test.each(roles)('a paused $to side can close also when its peer has closed before', async ({ from, to }) => {
      const pair = await connect()
      const other = await connect()
      pair[to].onMessage = () => pair[to].call((connection) => connection.pause())
      for (const number of range(3)) pair[from].send(numbered(number))
      pair[from].close(4000, 'bye')
      await pair[to].untilMessages(1)
      await otherTraffic(other)
      pair[to].close(4002, 'gone')
      await Promise.all([pair[from].untilClosed(), pair[to].untilClosed()])
      expect(pair[to].messages.map(numberOf)).toEqual([0])
      expect(pair[to].ending).toEqual({ code: 4002, reason: 'gone' })
      expect(pair[from].ending).toEqual({ code: 4000, reason: 'bye' })
    })

    const slowed = roles.filter(({ from }) => from === 'dialling' || noFlowControl === undefined)
    test.each(slowed)('bufferedBytes of the $from side grows until its peer reads on', async ({ from, to }) => {
      const pair = await connect()
      const other = await connect()
      const [sender, receiver] = [pair[from], pair[to]]
      receiver.call((connection) => connection.pause())
      const sentCount = await fillUp(sender, other)
      const drainedCount = sender.count('drained')
      receiver.call((connection) => connection.resume())
      await sender.until(() => sender.count('drained') > drainedCount)
      expect(sender.connection.bufferedBytes).toBeLessThanOrEqual(sendBufferBytesMax / 2)
      await receiver.untilMessages(sentCount)
      expect(receiver.messages.every((bytes) => Buffer.compare(bytes, fillChunk) === 0)).toBe(true)
      expect(sender.connection.bufferedBytes).toBe(0)
    })

    test.each(roles)('drained is told after one send over the mark, on the $from side', async ({ from, to }) => {
      const pair = await connect()
      pair[from].send(pattern(mebibyte))
      expect(pair[from].connection.bufferedBytes).toBeGreaterThanOrEqual(mebibyte)
      await pair[to].untilMessages(1)
      await pair[from].until(() => pair[from].count('drained') === 1)
    })

    test('a dial that nobody answers is told as closed, with a code to come back', async () => {
      const dialling = dial(world.refusedDialler)
      await dialling.untilClosed()
      expect(dialling.events.length).toBe(1)
      expect(dialling.ending?.code).toBe(1006)
      expect(dialling.ending?.reason).not.toBe('')
      expect(isReconnectable(1006)).toBe(true)
    })

    test('a dial can be closed before it is answered', async () => {
      const dialling = dial()
      dialling.close(1000, 'changed my mind')
      await dialling.untilClosed()
      expect(dialling.events).toEqual([{ kind: 'closed', code: 1000, reason: 'changed my mind' }])
    })

    test('a message over the limit closes its sender with 1009 and no one else', async ({ skip }) => {
      const { frameBytesMax } = world
      if (frameBytesMax === undefined) return skip('this transport has no limit: the bytes are in memory already')
      const other = await connect()
      const { dialling, accepting } = await connect()
      dialling.send(pattern(frameBytesMax))
      await accepting.untilMessages(1)
      dialling.send(pattern(frameBytesMax - 10), new Uint8Array(11))
      await Promise.all([dialling.untilClosed(), accepting.untilClosed()])
      expect(dialling.ending?.code).toBe(1009)
      expect(accepting.ending?.code).toBe(1009)
      expect(accepting.count('message')).toBe(1)
      await otherTraffic(other)
      expect(other.dialling.ending).toBeUndefined()
    })

    test('a line that breaks is told to both sides as closed, with a code to come back', async ({ skip }) => {
      const { cut } = world
      if (cut === undefined) return skip('this transport has no line that could break')
      const other = await connect()
      const { dialling, accepting } = await connect()
      dialling.send(numbered(1))
      await accepting.untilMessages(1)
      cut(1)
      await Promise.all([dialling.untilClosed(), accepting.untilClosed()])
      expect(dialling.ending?.code).toBe(1006)
      expect(accepting.ending?.code).toBe(1006)
      await otherTraffic(other)
    })
  })
}
