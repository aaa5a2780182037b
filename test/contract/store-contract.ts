// The contract of core/ports/store.ts as a suite: every store passes it. A store comes in a harness that knows how to
// let its time pass and, where it is durable, how to open again what it holds.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { CommitOutcome, ReadOutcome, Store, StoreEntry, StoreRange, StoreWrite } from '../../core/ports/store.ts'
import { createSimRandom } from '../sim/sim-random.ts'

/** A store under test. */
export interface StoreHarness {
  readonly store: Store
  /** Lets time pass until something may have been answered: one turn of an event loop, real or simulated. */
  turn(): Promise<void>
  /** Closes the store if it is open, and opens what it holds; absent where nothing outlives a store. */
  readonly reopen?: () => Promise<Store>
  /** Frees what the harness took, after the store is closed. */
  dispose?(): Promise<void>
}

export interface StoreContractOptions {
  /** Keys of the largest test; 100,000 by default. */
  readonly manyKeyCount?: number
}

const mebibyte = 1024 * 1024
const first = new Uint8Array(0)
/** Beyond every key. */
const end = new Uint8Array(256).fill(0xff)
const all: StoreRange = { from: first, to: end }

/** Runs the contract against stores made by `makeHarness`, each empty. */
export function storeContract(
  name: string,
  makeHarness: () => StoreHarness | Promise<StoreHarness>,
  { manyKeyCount = 100_000 }: StoreContractOptions = {},
): void {
  describe(`store contract: ${name}`, () => {
    let harness: StoreHarness
    let store: Store

    beforeEach(async () => {
      harness = await makeHarness()
      store = harness.store
    })

    afterEach(async () => {
      const closing = store.close()
      await until(closing)
      await harness.dispose?.()
    })

    /** Lets time pass until a promise is settled. */
    async function until<T>(promise: Promise<T>): Promise<T> {
      let isSettled = false
      const settle = (): void => {
        isSettled = true
      }
      promise.then(settle, settle)
      await Promise.resolve()
      while (!isSettled) await harness.turn()
      return promise
    }

    /** The one answer of a call, which must come later than the call returns. */
    function answerOf<T>(call: (answer: (outcome: T) => void) => void): Promise<T> {
      return until(new Promise<T>((resolve, reject) => {
        let isReturned = false
        let count = 0
        call((outcome) => {
          count++
          if (!isReturned) reject(new Error('answered before the call returned'))
          else if (count > 1) reject(new Error('answered twice'))
          else resolve(outcome)
        })
        isReturned = true
      }))
    }

    const commitOutcome = (writes: readonly StoreWrite[]): Promise<CommitOutcome> =>
      answerOf((answer) => store.commit(writes, answer))

    async function commit(writes: readonly StoreWrite[]): Promise<void> {
      expect(await commitOutcome(writes)).toEqual({ kind: 'durable' })
    }

    async function read(range: StoreRange): Promise<readonly StoreEntry[]> {
      const outcome = await answerOf<ReadOutcome>((answer) => store.read(range, answer))
      if (outcome.kind === 'failed') throw outcome.cause
      return outcome.entries
    }

    const keysOf = async (range: StoreRange): Promise<string[]> => (await read(range)).map(({ key }) => hex(key))

    /** The value of a key as hex; undefined where there is none. */
    async function valueOf(key: Uint8Array): Promise<string | undefined> {
      const entries = await read({ from: key, to: after(key) })
      return entries[0] === undefined ? undefined : hex(entries[0].value)
    }

    describe('order and ranges', () => {
      test('an empty store has no entries', async () => {
        expect(await read(all)).toEqual([])
        expect(await read({ ...all, reverse: true })).toEqual([])
      })

      test('gives keys in the order of unsigned bytes, and a key before those it begins', async () => {
        const keys = ['ff', '00', '7f', '80', '0000', '0001', '01', '7fff', 'ff00', '80ff'].map(bytes)
        await commit(keys.map((key) => ({ key, value: key })))
        const inOrder = ['00', '0000', '0001', '01', '7f', '7fff', '80', '80ff', 'ff', 'ff00']
        expect(await keysOf(all)).toEqual(inOrder)
        expect(await keysOf({ ...all, reverse: true })).toEqual(inOrder.toReversed())
      })

      test('a range has its lower bound and not its upper one, in both directions', async () => {
        await commit(['10', '20', '30', '40'].map((key) => ({ key: bytes(key), value: bytes('aa') })))
        const range = { from: bytes('20'), to: bytes('40') }
        expect(await keysOf(range)).toEqual(['20', '30'])
        expect(await keysOf({ ...range, reverse: true })).toEqual(['30', '20'])
      })

      test('bounds need not be keys that exist', async () => {
        await commit(['10', '20', '30', '40'].map((key) => ({ key: bytes(key), value: bytes('aa') })))
        const range = { from: bytes('1000'), to: bytes('3fff') }
        expect(await keysOf(range)).toEqual(['20', '30'])
        expect(await keysOf({ ...range, reverse: true })).toEqual(['30', '20'])
        expect(await keysOf({ from: bytes('21'), to: bytes('2fff') })).toEqual([])
        expect(await keysOf({ from: bytes('21'), to: bytes('2fff'), reverse: true })).toEqual([])
        expect(await keysOf({ from: bytes('41'), to: end, reverse: true })).toEqual([])
        expect(await keysOf({ from: first, to: bytes('10') })).toEqual([])
      })

      test('a range whose bounds are equal or the wrong way round is empty', async () => {
        await commit(['10', '20', '30'].map((key) => ({ key: bytes(key), value: bytes('aa') })))
        for (const reverse of [false, true]) {
          expect(await keysOf({ from: bytes('20'), to: bytes('20'), reverse })).toEqual([])
          expect(await keysOf({ from: bytes('30'), to: bytes('10'), reverse })).toEqual([])
          expect(await keysOf({ from: first, to: first, reverse })).toEqual([])
        }
      })

      test('countMax stops after so many entries, from the side where reading begins', async () => {
        await commit(['10', '20', '30', '40'].map((key) => ({ key: bytes(key), value: bytes('aa') })))
        expect(await keysOf({ ...all, countMax: 2 })).toEqual(['10', '20'])
        expect(await keysOf({ ...all, countMax: 2, reverse: true })).toEqual(['40', '30'])
        expect(await keysOf({ ...all, countMax: 9 })).toHaveLength(4)
        expect(await keysOf({ ...all, countMax: 0 })).toEqual([])
      })

      test('bytesMax stops after the entry with which it is reached, and gives one at least', async () => {
        const value = new Uint8Array(100)
        await commit(['10', '20', '30', '40'].map((key) => ({ key: bytes(key), value })))
        expect(await keysOf({ ...all, bytesMax: 199 })).toEqual(['10', '20'])
        expect(await keysOf({ ...all, bytesMax: 200 })).toEqual(['10', '20'])
        expect(await keysOf({ ...all, bytesMax: 201 })).toEqual(['10', '20', '30'])
        expect(await keysOf({ ...all, bytesMax: 1 })).toEqual(['10'])
        expect(await keysOf({ ...all, bytesMax: 0 })).toEqual(['10'])
        expect(await keysOf({ ...all, bytesMax: 150, reverse: true })).toEqual(['40', '30'])
        expect(await keysOf({ ...all, bytesMax: 1_000, countMax: 3 })).toEqual(['10', '20', '30'])
      })

      test('agrees with a plain sorted list on random keys, changes and ranges', async () => {
        const random = createSimRandom(7)
        const model = new Map<string, string>()
        const someKey = (): Uint8Array => random.bytes(1 + random.below(3)).map((byte) => byte & 0x1f)
        for (let round = 0; round < 60; round++) {
          const writes: StoreWrite[] = []
          for (let count = random.below(40); count > 0; count--) {
            const key = someKey()
            const value = random.chance(0.4) ? null : random.bytes(random.below(20))
            writes.push({ key, value })
            if (value === null) model.delete(hex(key))
            else model.set(hex(key), hex(value))
          }
          await commit(writes)
          const [from, to] = [someKey(), someKey()]
          const reverse = random.chance(0.5)
          const countMax = random.chance(0.5) ? Infinity : random.below(10)
          const expected = [...model].filter(([key]) => key >= hex(from) && key < hex(to)).sort(byKey)
          if (reverse) expected.reverse()
          const entries = await read({ from, to, reverse, countMax })
          expect(entries.map(({ key, value }) => [hex(key), hex(value)])).toEqual(expected.slice(0, countMax))
        }
        expect((await read(all)).map(({ key, value }) => [hex(key), hex(value)])).toEqual([...model].sort(byKey))
      })
    })

    describe('commits', () => {
      test('writes, replaces and deletes', async () => {
        await commit([{ key: bytes('01'), value: bytes('aa') }, { key: bytes('02'), value: bytes('bb') }])
        await commit([{ key: bytes('01'), value: bytes('cc') }, { key: bytes('02'), value: null }])
        expect(await valueOf(bytes('01'))).toBe('cc')
        expect(await valueOf(bytes('02'))).toBeUndefined()
      })

      test('deleting what is not there is no error', async () => {
        await commit([{ key: bytes('01'), value: null }])
        await commit([{ key: bytes('01'), value: null }, { key: bytes('02'), value: bytes('bb') }])
        expect(await keysOf(all)).toEqual(['02'])
      })

      test('a later write to a key of the same commit wins', async () => {
        await commit([
          { key: bytes('01'), value: bytes('aa') }, { key: bytes('01'), value: bytes('bb') },
          { key: bytes('02'), value: bytes('aa') }, { key: bytes('02'), value: null },
          { key: bytes('03'), value: null }, { key: bytes('03'), value: bytes('cc') },
        ])
        expect(await valueOf(bytes('01'))).toBe('bb')
        expect(await valueOf(bytes('02'))).toBeUndefined()
        expect(await valueOf(bytes('03'))).toBe('cc')
      })

      test('an empty commit ends durable', async () => {
        await commit([])
        expect(await read(all)).toEqual([])
      })

      test('an empty value is a value', async () => {
        await commit([{ key: bytes('01'), value: first }])
        expect(await valueOf(bytes('01'))).toBe('')
      })

      test('the next commit may be given from within the answer of the one before', async () => {
        const kinds = await until(new Promise<string[]>((resolve) => {
          const ended: string[] = []
          const next = (): void =>
            store.commit([{ key: Uint8Array.of(ended.length), value: bytes('aa') }], ({ kind }) => {
              if (ended.push(kind) === 50) resolve(ended)
              else next()
            })
          next()
        }))
        expect(new Set(kinds)).toEqual(new Set(['durable']))
        expect(await read(all)).toHaveLength(50)
      })

      test('a second commit while one is in flight is a bug that asserts', async () => {
        const answered = answerOf<CommitOutcome>((answer) => {
          store.commit([{ key: bytes('01'), value: bytes('aa') }], answer)
          expect(() => store.commit([], () => {})).toThrow('in flight')
        })
        expect((await answered).kind).toBe('durable')
      })

      test('keys and values beyond their bounds assert, and nothing of the commit is written', async () => {
        const good = { key: bytes('01'), value: bytes('aa') }
        const bad: StoreWrite[] = [
          { key: first, value: bytes('aa') },
          { key: new Uint8Array(256), value: bytes('aa') },
          { key: bytes('02'), value: new Uint8Array(16 * mebibyte + 1) },
        ]
        for (const write of bad) expect(() => store.commit([good, write], () => {})).toThrow()
        expect(await read(all)).toEqual([])
        await commit([good])
        expect(await valueOf(bytes('01'))).toBe('aa')
      })
    })

    describe('answers', () => {
      test('reads are answered once each, in the order in which they were asked', async () => {
        await commit([1, 2, 3, 4, 5].map((byte) => ({ key: Uint8Array.of(byte), value: new Uint8Array(byte * 1_000) })))
        const order = await until(new Promise<number[]>((resolve) => {
          const answered: number[] = []
          for (let index = 0; index < 200; index++) {
            const range = { from: first, to: end, countMax: 1 + (index % 5), reverse: index % 2 === 1 }
            store.read(range, () => {
              if (answered.push(index) === 200) resolve(answered)
            })
          }
        }))
        for (let turns = 0; turns < 5; turns++) await harness.turn()
        expect(order).toEqual(Array.from({ length: 200 }, (_, index) => index))
      })

      test('a read after the answer of a commit sees it, also from within that answer', async () => {
        const entries = await until(new Promise<readonly StoreEntry[]>((resolve) => {
          store.commit([{ key: bytes('01'), value: bytes('aa') }], () => {
            store.read(all, (outcome) => resolve(outcome.kind === 'entries' ? outcome.entries : []))
          })
        }))
        expect(entries.map(({ value }) => hex(value))).toEqual(['aa'])
      })

      test('reads during commits see the whole of a commit or nothing, and nothing before its answer', async () => {
        // Commit n writes n under ten keys. Whatever a read sees must be one number, and one that was answered.
        const keys = Array.from({ length: 10 }, (_, index) => Uint8Array.of(index))
        await commit(keys.map((key) => ({ key, value: number(0) })))
        let answeredCount = 0
        const seen: { numbers: number[]; answeredCount: number }[] = []
        let isDone = false
        const commitNext = (): void => {
          const next = answeredCount + 1
          store.commit(keys.map((key) => ({ key, value: number(next) })), () => {
            answeredCount = next
            if (next < 40) commitNext()
            else isDone = true
          })
        }
        const readNext = (): void =>
          store.read(all, (outcome) => {
            const entries = outcome.kind === 'entries' ? outcome.entries : []
            seen.push({ numbers: entries.map(({ value }) => numberOf(value)), answeredCount })
            if (!isDone) readNext()
          })
        commitNext()
        readNext()
        while (!isDone) await harness.turn()
        await read(all)
        for (const { numbers, answeredCount } of seen) {
          expect(numbers).toHaveLength(10)
          expect(new Set(numbers).size).toBe(1)
          expect(numbers[0]).toBeLessThanOrEqual(answeredCount)
        }
        expect(seen.length).toBeGreaterThan(0)
      })
    })

    describe('bytes belong to who has them', () => {
      test('the caller may reuse its keys and values after the answer', async () => {
        const key = bytes('0101')
        const value = bytes('aabbcc')
        // A view into a larger buffer, as what comes from a socket is.
        const pool = typeof Buffer === 'undefined' ? new Uint8Array(1_000).fill(0x55) : Buffer.alloc(1_000, 0x55)
        await commit([{ key, value }, { key: bytes('02'), value: pool.subarray(100, 103) }])
        key.fill(0)
        value.fill(0)
        pool.fill(0)
        expect(await keysOf(all)).toEqual(['0101', '02'])
        expect(await valueOf(bytes('0101'))).toBe('aabbcc')
        expect(await valueOf(bytes('02'))).toBe('555555')
      })

      test('what was read is not changed by later commits, and changing it changes no store', async () => {
        const big = new Uint8Array(100_000).fill(1)
        await commit([{ key: bytes('01'), value: bytes('aa') }, { key: bytes('02'), value: big }])
        const [small, large] = await read(all) as [StoreEntry, StoreEntry]
        for (let round = 0; round < 5; round++) {
          await commit([{ key: bytes('01'), value: bytes('bb') }, { key: bytes('02'), value: big.fill(2 + round) }])
          await read(all)
        }
        expect(hex(small.value)).toBe('aa')
        expect(large.value.every((byte) => byte === 1)).toBe(true)
        large.value.fill(99)
        small.key.fill(99)
        expect(await keysOf(all)).toEqual(['01', '02'])
        expect((await read({ ...all, reverse: true, countMax: 1 }))[0]?.value.every((byte) => byte === 6)).toBe(true)
      })
    })

    describe('sizes', () => {
      test('keys of 1 and of 255 bytes, and bounds beyond that', async () => {
        const short = Uint8Array.of(0)
        const long = new Uint8Array(255).fill(0xff)
        await commit([{ key: short, value: bytes('aa') }, { key: long, value: bytes('bb') }])
        expect(await keysOf(all)).toEqual([hex(short), hex(long)])
        expect(await keysOf({ ...all, reverse: true })).toEqual([hex(long), hex(short)])
        expect(await valueOf(long)).toBe('bb')
        await commit([{ key: long, value: null }])
        expect(await keysOf(all)).toEqual([hex(short)])
      })

      test('values of up to 16 MiB come back as they were', async () => {
        const sizes = [4_095, 4_096, 65_536, mebibyte, 16 * mebibyte - 1, 16 * mebibyte]
        const values = sizes.map((size, index) => pattern(size, index))
        for (const [index, value] of values.entries()) await commit([{ key: Uint8Array.of(index), value }])
        for (const [index, value] of values.entries()) {
          const [entry] = await read({ from: Uint8Array.of(index), to: Uint8Array.of(index + 1) })
          expect(isEqual(entry?.value ?? first, value)).toBe(true)
        }
        const largestTwice = await read({ ...all, reverse: true, countMax: 2 })
        expect(largestTwice.map(({ value }) => value.length)).toEqual([16 * mebibyte, 16 * mebibyte - 1])
        expect(isEqual(largestTwice[0]?.value ?? first, values.at(-1) as Uint8Array)).toBe(true)
      }, 60_000)

      test(`${manyKeyCount} keys in one commit, read in pages and deleted in one`, async () => {
        const keyOf = (index: number): Uint8Array => number((index * 7_919) % manyKeyCount)
        const writes = Array.from({ length: manyKeyCount }, (_, index) => ({ key: keyOf(index), value: keyOf(index) }))
        await commit(writes)
        let from: Uint8Array = first
        let count = 0
        for (;;) {
          const page: readonly StoreEntry[] = await read({ from, to: end, countMax: 9_999 })
          for (const { key, value } of page) {
            if (numberOf(key) !== count || numberOf(value) !== count) throw new Error(`${hex(key)} at ${count}`)
            count++
          }
          const last = page.at(-1)
          if (last === undefined) break
          from = after(last.key)
        }
        expect(count).toBe(manyKeyCount)
        await commit(writes.slice(0, -1).map(({ key }) => ({ key, value: null })))
        expect(await read(all)).toHaveLength(1)
      }, 60_000)

      test('space tells of more after more is written', async () => {
        const before = store.space()
        await commit([{ key: bytes('01'), value: new Uint8Array(mebibyte) }])
        await expect.poll(async () => {
          await harness.turn()
          return store.space().usedBytes
        }, { timeout: 10_000 }).toBeGreaterThanOrEqual(before.usedBytes + mebibyte)
        expect(store.space().freeBytes).toBeGreaterThan(0)
      })
    })

    describe('closing', () => {
      test('closing twice is closing once', async () => {
        await commit([{ key: bytes('01'), value: bytes('aa') }])
        await until(Promise.all([store.close(), store.close()]))
        await until(store.close())
      })

      test('a commit and reads in flight are answered before the store is closed', async () => {
        await commit([{ key: bytes('01'), value: bytes('aa') }])
        const answered: string[] = []
        store.commit([{ key: bytes('02'), value: bytes('bb') }], ({ kind }) => answered.push(kind))
        store.read(all, ({ kind }) => answered.push(kind))
        await until(store.close().then(() => answered.push('closed')))
        expect(answered.toSorted()).toEqual(['closed', 'durable', 'entries'])
        expect(answered.at(-1)).toBe('closed')
      })

      test('after closing, reads fail and commits are not written', async () => {
        await until(store.close())
        const outcome = await answerOf<ReadOutcome>((answer) => store.read(all, answer))
        expect(outcome.kind).toBe('failed')
        expect(await commitOutcome([{ key: bytes('01'), value: bytes('aa') }])).toMatchObject({
          kind: 'not-written', reason: 'error',
        })
      })

      test('what was durable is there after reopening, what was deleted is not', async (context) => {
        const { reopen } = harness
        if (reopen === undefined) return context.skip('nothing outlives this store')
        await commit([{ key: bytes('01'), value: bytes('aa') }, { key: bytes('02'), value: pattern(50_000, 3) }])
        await commit([{ key: bytes('01'), value: null }, { key: bytes('03'), value: bytes('cc') }])
        await until(store.close())
        store = await until(reopen())
        expect(await keysOf(all)).toEqual(['02', '03'])
        expect(await valueOf(bytes('02'))).toBe(hex(pattern(50_000, 3)))
        await commit([{ key: bytes('04'), value: bytes('dd') }])
        await until(store.close())
        store = await until(reopen())
        expect(await keysOf(all)).toEqual(['02', '03', '04'])
      })
    })
  })
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, index) => Number.parseInt(text.slice(index * 2, index * 2 + 2), 16))
}

// Not Node's Buffer: browsers run this suite too.
const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

function hex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += hexOfByte[byte]
  return text
}

function isEqual(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index])
}

/** The least key after `key`. */
function after(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}

function number(value: number): Uint8Array {
  const result = new Uint8Array(4)
  new DataView(result.buffer).setUint32(0, value)
  return result
}

function numberOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
}

/** Bytes of which each part is different, for each `seed`. */
function pattern(size: number, seed: number): Uint8Array {
  const result = new Uint8Array(size)
  for (let index = 0; index < size; index++) result[index] = (index * 31 + (index >>> 8) + seed * 17) & 0xff
  return result
}

function byKey([left]: [string, string], [right]: [string, string]): number {
  return left < right ? -1 : 1
}
