// The turn's one rule, that nothing is told before it is durable; and the heap of waits beside it.

import { describe, expect, it } from 'vitest'
import { Timers } from '../../../core/broker/timers.ts'
import { Turn } from '../../../core/broker/turn.ts'
import type { PocketError } from '../../../core/errors.ts'
import type { CommitOptions, CommitOutcome, StoreWrite } from '../../../core/ports/store.ts'
import { SimClock } from '../../sim/sim-clock.ts'

/** A turn over a store that answers when the test says so. `prepare` adds to a turn what it likes. */
function createTurnWorld(prepare: (writes: StoreWrite[], turn: Turn) => void = () => {}) {
  const clock = new SimClock()
  const events: string[] = []
  const commits: {
    writes: readonly StoreWrite[]; answer: (outcome: CommitOutcome) => void; options: CommitOptions | undefined
  }[] = []
  const failures: PocketError[] = []
  const turn: Turn = new Turn({
    store: {
      commit: (writes, answer, options) => commits.push({ writes: [...writes], answer, options }),
      read: () => {},
      space: () => ({ usedBytes: 0, freeBytes: 0 }),
      close: () => Promise.resolve(),
    },
    clock,
    prepare: (writes) => {
      events.push('prepare')
      prepare(writes, turn)
    },
    committed: (count) => events.push(`committed ${count}`),
    released: () => events.push('released'),
    failed: (error) => failures.push(error),
  })
  return { clock, events, commits, failures, turn }
}

const key = (number: number) => Uint8Array.of(number)

describe('a turn', () => {
  it('commits all writes of a turn at once, and runs effects in order only when they are durable', () => {
    const { clock, events, commits, turn } = createTurnWorld()
    turn.write(key(1), null)
    turn.after(() => events.push('first'))
    turn.write(key(2), null)
    turn.after(() => events.push('second'))
    clock.runUntilIdle()
    expect(commits.map(({ writes }) => writes.length)).toEqual([2])
    expect(events).toEqual(['prepare'])
    commits[0]?.answer({ kind: 'durable' })
    expect(events).toEqual(['prepare', 'committed 2', 'first', 'second', 'released'])
  })

  it('keeps one commit in flight; what comes meanwhile is the next', () => {
    const { clock, events, commits, turn } = createTurnWorld()
    turn.write(key(1), null)
    clock.runUntilIdle()
    turn.write(key(2), null)
    turn.after(() => events.push('later'))
    clock.runUntilIdle()
    expect(commits).toHaveLength(1)
    commits[0]?.answer({ kind: 'durable' })
    expect(events).not.toContain('later')
    clock.runUntilIdle()
    expect(commits).toHaveLength(2)
    commits[1]?.answer({ kind: 'durable' })
    expect(events).toContain('later')
  })

  it('runs effects of a turn without writes, but never before what was committed ahead of them', () => {
    const { clock, events, commits, turn } = createTurnWorld()
    turn.after(() => events.push('alone'))
    clock.runUntilIdle()
    expect(events).toEqual(['prepare', 'alone', 'released'])
    turn.write(key(1), null)
    clock.runUntilIdle()
    turn.after(() => events.push('behind'))
    clock.runUntilIdle()
    expect(events).not.toContain('behind')
    commits[0]?.answer({ kind: 'durable' })
    clock.runUntilIdle()
    expect(events).toContain('behind')
  })

  it.each([
    [{ kind: 'unknown', cause: new Error('EIO') }, 'STORE_FAILED'],
    [{ kind: 'not-written', reason: 'error', cause: new Error('?') }, 'STORE_FAILED'],
    [{ kind: 'not-written', reason: 'full', cause: new Error('ENOSPC') }, 'STORE_FULL'],
  ] as const)('after a commit that ended %o tells nothing any more and fails with %s', (outcome, code) => {
    const { clock, events, commits, failures, turn } = createTurnWorld()
    turn.write(key(1), null)
    turn.after(() => events.push('told'))
    clock.runUntilIdle()
    commits[0]?.answer(outcome)
    turn.after(() => events.push('told later'))
    clock.runUntilIdle()
    expect(events).toEqual(['prepare'])
    expect(failures.map((failure) => failure.code)).toEqual([code])
  })

  describe('is relaxed', () => {
    const nothing = (): void => {}
    type Doing = (turn: Turn) => void
    const relaxedWrite: Doing = (turn) => turn.write(key(1), null, true)
    const relaxedEffect: Doing = (turn) => turn.after(nothing, true)
    const prepared = (count: number, relaxedCount: number) => (writes: StoreWrite[], turn: Turn): void => {
      for (let number = 0; number < count; number++) writes.push({ key: key(10 + number), value: null })
      turn.relax(relaxedCount)
    }

    it.each<[string, boolean, Doing[], ((writes: StoreWrite[], turn: Turn) => void)?]>([
      ['where its only write is', true, [relaxedWrite]],
      ['where its writes and effects all are', true, [relaxedWrite, relaxedEffect, relaxedWrite]],
      ['where all that prepare adds is', true, [relaxedWrite, relaxedEffect], prepared(3, 3)],
      ['but not with a write that says nothing', false, [relaxedWrite, (turn) => turn.write(key(2), null)]],
      ['but not with an effect that says nothing', false, [relaxedWrite, (turn) => turn.after(nothing)]],
      ['but not with another write that prepare adds', false, [relaxedWrite, relaxedEffect], prepared(3, 2)],
      ['but not where a relaxed effect stands beside a write that says nothing', false, [relaxedEffect], prepared(1, 0)],
    ])('%s', (_, isRelaxed, doings, prepare) => {
      const { clock, commits, turn } = createTurnWorld(prepare)
      for (const doing of doings) doing(turn)
      clock.runUntilIdle()
      expect(commits.map(({ options }) => options)).toEqual([{ isRelaxed }])
    })

    it('by itself, whatever the turns before and after it are', () => {
      const { clock, commits, turn } = createTurnWorld()
      for (const doings of [[relaxedWrite], [(turn: Turn) => turn.write(key(2), null)], [relaxedEffect, relaxedWrite]]) {
        for (const doing of doings) doing(turn)
        clock.runUntilIdle()
        commits.at(-1)?.answer({ kind: 'durable' })
        clock.runUntilIdle()
      }
      expect(commits.map(({ options }) => options?.isRelaxed)).toEqual([true, false, true])
    })

    it('without regard to effects that ran in a turn without writes', () => {
      const { clock, commits, turn } = createTurnWorld()
      turn.after(nothing)
      clock.runUntilIdle()
      relaxedEffect(turn)
      clock.runUntilIdle()
      relaxedWrite(turn)
      clock.runUntilIdle()
      expect(commits.map(({ options }) => options?.isRelaxed)).toEqual([true])
    })

    it('tells its effects only when the store says that it is durable', () => {
      const { clock, commits, events, turn } = createTurnWorld()
      relaxedWrite(turn)
      turn.after(() => events.push('told'), true)
      clock.runUntilIdle()
      expect(events).not.toContain('told')
      commits[0]?.answer({ kind: 'durable' })
      expect(events).toContain('told')
    })
  })

  it('says when it is idle', async () => {
    const { clock, commits, turn } = createTurnWorld()
    await turn.idle()
    turn.write(key(1), null)
    let idle = false
    const waiting = turn.idle().then(() => (idle = true))
    clock.runUntilIdle()
    await Promise.resolve()
    expect(idle).toBe(false)
    commits[0]?.answer({ kind: 'durable' })
    clock.runUntilIdle()
    await waiting
    expect(idle).toBe(true)
  })
})

describe('timers', () => {
  it('fire in order of time, never early, and not once cancelled', () => {
    const clock = new SimClock()
    const timers = new Timers(clock)
    const fired: number[] = []
    const startMs = clock.monotonic()
    const delays = Array.from({ length: 200 }, (_, index) => (index * 7919) % 1_000)
    const waits = delays.map((delayMs) => timers.at(startMs + delayMs, () => {
      expect(clock.monotonic()).toBeGreaterThanOrEqual(startMs + delayMs)
      fired.push(delayMs)
    }))
    const cancelled = new Set<number>()
    waits.forEach((wait, index) => {
      if (index % 3 !== 0) return
      timers.cancel(wait)
      timers.cancel(wait)
      cancelled.add(index)
    })
    clock.advance(1_000)
    expect(fired).toEqual(delays.filter((_, index) => !cancelled.has(index)).sort((left, right) => left - right))
  })

  it('fire in the order they were asked for where they are due at the same time', () => {
    const clock = new SimClock()
    const timers = new Timers(clock)
    const fired: number[] = []
    for (let number = 0; number < 100; number++) timers.at(clock.monotonic() + 5, () => fired.push(number))
    clock.advance(5)
    expect(fired).toEqual(Array.from({ length: 100 }, (_, index) => index))
  })

  it('can be cancelled when they were stopped', () => {
    const clock = new SimClock()
    const timers = new Timers(clock)
    const waits = [5, 3, 9].map((delayMs) => timers.at(clock.monotonic() + delayMs, () => {}))
    timers.stop()
    waits.push(timers.at(clock.monotonic() + 1, () => {}))
    for (const wait of waits) timers.cancel(wait)
    expect(waits.map(({ index }) => index)).toEqual([-1, -1, -1, -1])
  })

  it('take waits that are due already, and none after they were stopped', () => {
    const clock = new SimClock()
    const timers = new Timers(clock)
    let fired = 0
    timers.at(clock.monotonic() - 5, () => fired++)
    clock.advance(1)
    expect(fired).toBe(1)
    timers.at(clock.monotonic() + 5, () => fired++)
    timers.stop()
    clock.advance(10)
    expect(fired).toBe(1)
  })
})
