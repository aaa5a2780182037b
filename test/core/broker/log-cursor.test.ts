// Reading forwards while records leave the memory, readers go back, and the store answers late: nothing that is there is
// taken for a gap.

import { describe, expect, it } from 'vitest'
import { LogCursor } from '../../../core/broker/log-cursor.ts'
import { defaultLimits } from '../../../core/limits.ts'
import type { Store, StoreEntry, StoreWrite } from '../../../core/ports/store.ts'
import { encodeRecordBatch, RecordBatch } from '../../../core/record/record-batch.ts'
import { keyKinds, recordKey } from '../../../core/storage/keys.ts'
import { MessageIndex } from '../../../core/storage/message-index.ts'
import { QueueLog } from '../../../core/storage/queue-log.ts'
import { emptyQueueState } from '../../../core/storage/recovery.ts'
import { TailCache } from '../../../core/storage/tail-cache.ts'
import { createSimRandom } from '../../sim/sim-random.ts'
import { BrokerWorld, encodeMessages, idBytes } from './broker-world.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index))

async function filledWorld(tailCacheBytesMax: number): Promise<BrokerWorld> {
  const world = await BrokerWorld.open({ limits: { queueCountDefault: 1, tailCacheBytesMax } })
  for (let batch = 0; batch < 10; batch++) await world.publish('t', numbers(batch * 10, batch * 10 + 10))
  return world
}

describe('a reader of records that are not in memory', () => {
  it.each([0, 15, 95])('goes back to %i of what it has read ahead', async (offset) => {
    const world = await filledWorld(0)
    const member = await world.join('t')
    member.held.length = 0
    const to = { kind: 'position', position: { epoch: 0, offset } } as const
    await world.must((answer) => world.broker.resetGroup({ group: 'g', topic: 't', queueId: undefined, to }, answer))
    await world.settle()
    expect(member.bodies).toEqual(numbers(offset, 100))
    expect(member.gaps).toEqual([])
  })

  it.each([{ mode: 'BROADCASTING' }, { mode: 'CLUSTERING' }] as const)(
    'goes on in a record that it took in part while it was in memory ($mode)', async ({ mode }) => {
      const world = await filledWorld(3_000)
      const member = await world.join('t', { mode, credit: 95 })
      expect(member.bodies).toEqual(numbers(0, 95))
      for (let batch = 10; batch < 20; batch++) await world.publish('t', numbers(batch * 10, batch * 10 + 10))
      member.membership?.credit(1_000, 1 << 20)
      await world.settle()
      expect(member.bodies).toEqual(numbers(0, 200))
      expect(member.gaps).toEqual([])
    },
  )

  it('gets what is committed while the store looks for messages that are lost', async () => {
    const world = await filledWorld(0)
    const { key } = (await world.entries(keyKinds.record))[9] as StoreEntry
    await world.write([{ key, value: null }])
    await world.reopen()
    const member = await world.join('t', { credit: 90 })
    member.membership?.credit(100, 1 << 20)
    await world.publish('t', ['100'])
    await world.settle()
    expect(member.bodies).toEqual([...numbers(0, 90), '100'])
    expect(member.gaps).toMatchObject([{ expected: { offset: 90 }, next: { offset: 100 } }])
  })
})

/** A store that answers when it is told to: what is asked of it waits in `asked`. */
class SlowStore implements Store {
  readonly entries: StoreEntry[]
  readonly asked: (() => void)[] = []

  constructor(entries: StoreEntry[]) {
    this.entries = entries
  }

  read(...[{ from, to }, answer]: Parameters<Store['read']>): void {
    // What is there when it is asked for.
    const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
    const entries = this.entries.filter(({ key }) => text(key) >= text(from) && text(key) < text(to))
    this.asked.push(() => answer({ kind: 'entries', entries }))
  }

  commit(): void {}

  space() {
    return { usedBytes: 0, freeBytes: Infinity }
  }

  async close(): Promise<void> {}
}

/** A log with two records at rest, of three messages each, and a cursor. */
function logAtRest(mayHaveHoles: boolean) {
  const records = [0, 3].map((baseOffset) => {
    const source = encodeMessages(['a', 'b', 'c'], 0)
    const size = source.length / 3
    const starts = [0, size, 2 * size]
    return RecordBatch.view(encodeRecordBatch({ epoch: 1, baseOffset, storedMs: 0 }, [{
      producerId: idBytes(1), producerEpoch: 0, baseSequence: baseOffset, batchCount: 3, source, starts,
      ends: starts.map((start) => start + size), tagHashes: [0, 0, 0], groupHashes: undefined, ttls: undefined,
    }]))
  }) as [RecordBatch, RecordBatch]
  const store = new SlowStore(records.map((record) => ({ key: recordKey(1, 0, record.lastOffset), value: record.bytes })))
  const state = { ...emptyQueueState(createSimRandom(1)), maxOffset: 6, recordsEnd: 6, storedBytes: 1_000 }
  const log = new QueueLog(1, 0, state, {
    store, limits: defaultLimits, index: new MessageIndex(defaultLimits), tailCache: new TailCache(defaultLimits), damaged() {},
  }, mayHaveHoles)
  let readyCount = 0
  const cursor = new LogCursor(log, 1 << 20, () => readyCount++, (error) => {
    throw error
  })
  /** Removes all but some messages of the second record; gives what to do when that is durable. */
  const rewrite = (kept: number[]) => {
    const writes: StoreWrite[] = []
    log.rewrite(records[1], kept, 3, writes)
    return () => {
      store.entries.splice(1, 1)
      for (const { key, value } of writes) if (key[0] === keyKinds.record && value !== null) store.entries.push({ key, value })
      log.rewritesDurable([records[1].lastOffset])
    }
  }
  const answer = () => {
    for (const give of store.asked.splice(0)) give()
  }
  const countAt = (offset: number) => {
    const view = cursor.look(offset)
    return view.kind === 'record' ? view.record.messageCount : view.kind
  }
  return { log, cursor, store, rewrite, answer, countAt, ready: () => readyCount }
}

describe('a reader of a log whose records are rewritten', () => {
  it('does not get what it had read ahead before', () => {
    const { rewrite, answer, countAt } = logAtRest(true)
    expect(countAt(0)).toBe('waiting')
    answer()
    expect(countAt(0)).toBe(3)
    const durable = rewrite([1])
    expect(countAt(3)).toBe('waiting')
    durable()
    answer()
    expect(countAt(3)).toBe('waiting')
    answer()
    expect(countAt(3)).toBe(1)
    expect(countAt(5)).toBe('waiting')
    answer()
    expect(countAt(5)).toBe('end')
  })

  it('does not get what it read between the rewriting and its commit', () => {
    const { rewrite, answer, countAt } = logAtRest(true)
    const durable = rewrite([2])
    expect(countAt(3)).toBe('waiting')
    answer()
    durable()
    expect(countAt(3)).toBe('waiting')
    answer()
    expect(countAt(3)).toBe(1)
  })

  it('asks again where the rewriting came between its question and the answer', () => {
    const { rewrite, answer, countAt, ready } = logAtRest(true)
    expect(countAt(3)).toBe('waiting')
    rewrite([])()
    answer()
    expect(ready()).toBe(0)
    answer()
    expect(ready()).toBe(1)
    expect(countAt(3)).toBe('end')
  })

  it('keeps what it has read of other records', () => {
    const { cursor, rewrite, answer, countAt, store } = logAtRest(true)
    expect(countAt(0)).toBe('waiting')
    answer()
    rewrite([0])()
    expect(countAt(0)).toBe('waiting')
    answer()
    expect(countAt(0)).toBe(3)
    expect(countAt(3)).toBe(1)
    // Moves on to the end without asking for more than what is behind the last record.
    expect(cursor.look(4).kind).toBe('waiting')
    answer()
    expect(cursor.look(4)).toEqual({ kind: 'end', next: 6 })
    expect(store.asked).toEqual([])
  })

  it('is told of a gap where messages may not be missing', () => {
    const { store, answer, cursor } = logAtRest(false)
    store.entries.shift()
    expect(cursor.look(0).kind).toBe('waiting')
    answer()
    expect(cursor.look(0)).toEqual({ kind: 'gap', next: 3 })
  })
})
