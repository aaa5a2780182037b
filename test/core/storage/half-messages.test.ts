// Transactions as stored: what is written is read back, small and large, and what is damaged is told and kept apart.

import { describe, expect, it } from 'vitest'
import { textToBytes } from '../../../core/bytes.ts'
import type { ReadOutcome, Store, StoreWrite } from '../../../core/ports/store.ts'
import {
  decodeEnded, encodeEnded, type EndedTransaction, type HalfMessages, isApart, type PartHead, readEnded, readParts,
  recoverTransactions, removeParts, rewritePart, type TransactionName, writePart,
} from '../../../core/storage/half-messages.ts'
import { endedTransactionsKey, halfMessagesKey, transactionPartKey } from '../../../core/storage/keys.ts'
import { createMemoryStore } from '../../../core/storage/memory-store.ts'

const clock = { defer: (run: () => void) => queueMicrotask(run) }
const target = { topicId: 7, topic: 't' }
const head: PartHead = { producerGroup: 'pg', preparedMs: 1_000, checkCount: 0, nextCheckMs: 7_000, checkWaitMs: 6_000 }

function idOf(number: number): Uint8Array {
  return Uint8Array.of(9, 0, 0, 0, 0, 0, 0, number)
}

function nameOf(number: number): TransactionName {
  return { number, transactionId: idOf(number) }
}

function part(baseSequence: number, messages: string, messageCount = 1): HalfMessages {
  return { target, baseSequence, messageCount, messages: textToBytes(messages) }
}

function commit(store: Store, writes: readonly StoreWrite[]): Promise<void> {
  return new Promise(
    (resolve, reject) => store.commit(writes, ({ kind }) => (kind === 'durable' ? resolve() : reject(new Error(kind)))),
  )
}

function partsOf(store: Store, { number }: TransactionName, partCount: number, hasApart: boolean) {
  return new Promise<readonly (HalfMessages | undefined)[] | Error>(
    (resolve) => readParts(store, number, partCount, hasApart, resolve),
  )
}

async function written(id: TransactionName, parts: readonly HalfMessages[]): Promise<Store> {
  const store = createMemoryStore({ clock })
  const writes: StoreWrite[] = []
  parts.forEach((each, index) => writePart(id, index, head, each, writes))
  await commit(store, writes)
  return store
}

async function recovered(store: Store) {
  const damages: string[] = []
  return { ...await recoverTransactions(store, (what) => damages.push(what)), damages }
}

describe('parts of a transaction', () => {
  it('are read back as they were, those with large messages too', async () => {
    const parts = [part(0, 'small', 2), part(2, 'x'.repeat(1_024)), part(3, 'y'.repeat(1_025)), part(4, '')]
    expect(parts.map(isApart)).toEqual([false, false, true, false])
    const store = await written(nameOf(1), parts)
    expect(await partsOf(store, nameOf(1), 4, true)).toEqual(parts)
    expect(await partsOf(store, nameOf(1), 2, true)).toEqual(parts.slice(0, 2))
    expect(await partsOf(store, nameOf(2), 1, true)).toEqual([undefined])
  })

  it('keep their messages in bytes of their own', async () => {
    const source = textToBytes('x'.repeat(2_000))
    for (const messages of [source.subarray(0, 100), source]) {
      const kept = writePart(nameOf(1), 0, head, { target, baseSequence: 0, messageCount: 1, messages }, [])
      expect(kept).toEqual(messages)
      expect(kept.buffer).not.toBe(source.buffer)
    }
  })

  it('take one key where messages are small, two where they are large, and all go', async () => {
    const writes: StoreWrite[] = []
    writePart(nameOf(1), 0, head, part(0, 'small'), writes)
    expect(writes).toHaveLength(1)
    writePart(nameOf(1), 1, head, part(1, 'x'.repeat(2_000)), writes)
    expect(writes).toHaveLength(3)
    const removals: StoreWrite[] = []
    removeParts(nameOf(1), 2, true, removals)
    for (const { key } of writes) expect(removals).toContainEqual({ key, value: null })
  })

  it('fail as a whole where the store cannot be read', async () => {
    const store = await written(nameOf(1), [part(0, 'x'.repeat(2_000))])
    for (const failing of [1, 2]) {
      let reads = 0
      const flaky: Store = {
        ...store,
        read: (range, answer: (outcome: ReadOutcome) => void) => {
          if (++reads === failing) answer({ kind: 'failed', cause: new Error('gone') })
          else store.read(range, answer)
        },
      }
      expect(await partsOf(flaky, nameOf(1), 1, true)).toBeInstanceOf(Error)
    }
  })

  it('that are damaged or gone are undefined, whichever byte it is', async () => {
    for (const messages of ['small', 'x'.repeat(1_500)]) {
      const store = await written(nameOf(1), [part(0, 'fine'), part(1, messages)])
      const writes: StoreWrite[] = []
      writePart(nameOf(1), 1, head, part(1, messages), writes)
      for (const { key, value } of writes as { key: Uint8Array; value: Uint8Array }[]) {
        for (let at = 0; at < value.length; at += value.length > 100 ? 37 : 1) {
          const flipped = value.slice()
          flipped[at] = (flipped[at] as number) ^ 4
          await commit(store, [{ key, value: flipped }])
          expect(await partsOf(store, nameOf(1), 2, true)).toEqual([part(0, 'fine'), undefined])
        }
        await commit(store, [{ key, value: null }])
        expect(await partsOf(store, nameOf(1), 2, true)).toEqual([part(0, 'fine'), undefined])
        await commit(store, [{ key, value }])
      }
    }
  })
})

describe('opening a store with transactions', () => {
  it('puts each together from its parts, without reading large messages, the oldest first', async () => {
    const store = await written(nameOf(2), [part(0, 'small', 2), part(2, 'x'.repeat(2_000), 3)])
    const other = { ...part(5, 'z'), target: { topicId: 8, topic: 'two' } }
    const writes: StoreWrite[] = []
    writePart(nameOf(2), 2, { ...head, preparedMs: 2_000, nextCheckMs: 8_000, checkWaitMs: 5_000 }, other, writes)
    writePart(nameOf(1), 0, { ...head, preparedMs: 5_000, producerGroup: 'later' }, part(0, 'a'), writes)
    await commit(store, writes)
    const read: number[] = []
    const counting: Store = {
      ...store,
      read(range, answer) {
        read.push(range.from[0] as number)
        store.read(range, answer)
      },
    }
    expect(await recovered(counting)).toMatchObject({
      open: [{
        transactionId: idOf(2), producerGroup: 'pg', preparedMs: 1_000, checkCount: 0, nextCheckMs: 8_000, checkWaitMs: 5_000,
        messageCount: 6, byteCount: 2_006, partCount: 3, hasApart: true, isDamaged: false, targets: [target, other.target],
      }, { transactionId: idOf(1), producerGroup: 'later', messageCount: 1, hasApart: false }],
      numberNext: 3,
      ended: [],
      endedNumberNext: 0,
      damages: [],
    })
    expect(read).not.toContain(halfMessagesKey(1, 0)[0])
  })

  it('finds the checks that were made, and when the next is due', async () => {
    const store = await written(nameOf(1), [part(0, 'x'.repeat(2_000)), part(1, 'b')])
    const writes: StoreWrite[] = []
    const asked = { ...head, checkCount: 4, nextCheckMs: 90_000, checkWaitMs: 30_000 }
    rewritePart(nameOf(1), 0, asked, part(0, 'x'.repeat(2_000)), writes)
    expect(writes).toHaveLength(1)
    await commit(store, writes)
    expect(
      (await recovered(store)).open,
    ).toMatchObject([{ checkCount: 4, nextCheckMs: 90_000, checkWaitMs: 30_000, messageCount: 2 }])
    expect(await partsOf(store, nameOf(1), 2, true)).toMatchObject([{ messageCount: 1 }, { messageCount: 1 }])
  })

  it('tells what is damaged, keeps it, and takes nothing else for damaged', async () => {
    const store = await written(nameOf(1), [part(0, 'a'), part(1, 'b'), part(2, 'c')])
    await commit(store, [{ key: transactionPartKey(1, 1, idOf(1)), value: Uint8Array.of(1, 2, 3) }])
    const writes: StoreWrite[] = []
    writePart(nameOf(2), 0, head, part(0, 'fine'), writes)
    await commit(store, writes)
    const { open, damages } = await recovered(store)
    expect(open).toMatchObject([
      { transactionId: idOf(1), isDamaged: true, partCount: 3, producerGroup: 'pg' },
      { transactionId: idOf(2), isDamaged: false },
    ])
    expect(damages).toEqual(['part 1 of transaction 0900000000000001'])
    await commit(store, [{ key: transactionPartKey(1, 1, idOf(1)), value: null }])
    expect((await recovered(store)).open[0]).toMatchObject({ isDamaged: true, partCount: 3 })
  })
})

describe('ended transactions', () => {
  const ended: EndedTransaction[] = [
    {
      transactionId: idOf(1),
      producerGroup: 'pg',
      endedAs: 'commit',
      segments: [
        { topic: 'one', queueId: 3, epoch: 4_000_000_000, offset: 2 ** 40, count: 17 },
        { topic: 'two', queueId: 0, epoch: 0, offset: 0, count: 2 },
      ],
      scheduled: [1_767_225_600_000, 1_767_225_700_000],
    },
    { transactionId: idOf(2), producerGroup: 'one', endedAs: 'rollback', segments: [], scheduled: [] },
    { transactionId: idOf(3), producerGroup: 'pg', endedAs: 'unknown', segments: [], scheduled: [] },
  ]

  it('are read back as they were, in the order they ended', async () => {
    expect(decodeEnded(encodeEnded(5_000, ended))).toEqual({ endedMs: 5_000, transactions: ended })
    const store = createMemoryStore({ clock })
    const rest = encodeEnded(6_000, ended.slice(2))
    await commit(store, [
      {
        key: endedTransactionsKey(256), value: rest,
      }, { key: endedTransactionsKey(255), value: encodeEnded(5_000, ended.slice(0, 2)) },
    ])
    const { ended: found, endedNumberNext } = await recovered(store)
    expect(found.map(({ number, endedMs }) => [number, endedMs])).toEqual([[255, 5_000], [256, 6_000]])
    expect(found.flatMap(({ transactions }) => transactions)).toEqual(ended)
    expect(endedNumberNext).toBe(257)
    const read = (number: number) => new Promise((resolve) => readEnded(store, number, resolve))
    expect(await read(256)).toEqual(ended.slice(2))
    expect(await read(257)).toBeUndefined()
  })

  it('that are damaged are told and left out, and their number is not given again', async () => {
    const value = encodeEnded(5_000, ended)
    for (let at = 0; at < value.length; at++) {
      const flipped = value.slice()
      flipped[at] = (flipped[at] as number) ^ 1
      expect(() => decodeEnded(flipped)).toThrow('stored value')
    }
    const store = createMemoryStore({ clock })
    await commit(store, [{ key: endedTransactionsKey(3), value: value.subarray(1) }])
    expect(await recovered(store)).toMatchObject({ ended: [], endedNumberNext: 4, damages: ['ended transactions 3'] })
    expect(await new Promise((resolve) => readEnded(store, 3, resolve))).toBeUndefined()
  })
})
