// Keeping a connection known to be alive.

import { expect, test } from 'vitest'
import { Heartbeat } from '../../../core/session/heartbeat.ts'
import { SimClock } from '../../sim/sim-clock.ts'

interface Ticks {
  readonly clock: SimClock
  readonly heartbeat: Heartbeat
  readonly events: string[]
}

/** A heartbeat of 10 s; what it asks for is written down with its time. */
function beating({ pings = true, answered = false } = {}): Ticks {
  const clock = new SimClock()
  const events: string[] = []
  const note = (event: string) => events.push(`${event} ${clock.monotonic()}`)
  const heartbeat: Heartbeat = new Heartbeat({
    clock,
    heartbeatMs: 10_000,
    lost: () => note('lost'),
    ...(pings
      ? {
        ping: () => {
          note('ping')
          heartbeat.sent()
          if (answered) heartbeat.heard()
        },
      }
      : {}),
  })
  return { clock, heartbeat, events }
}

/** Calls `act` every second. */
function everySecond({ clock }: Ticks, seconds: number, act: () => void): void {
  for (let second = 0; second < seconds; second++) {
    clock.advance(1_000)
    act()
  }
}

test('a quiet side sends something within every beat, and lives while it is answered', () => {
  const ticks = beating({ answered: true })
  ticks.clock.advance(60_000)
  const times = ticks.events.map((event) => Number(event.split(' ')[1]))
  expect(ticks.events.every((event) => event.startsWith('ping'))).toBe(true)
  const gaps = times.map((time, index) => time - (times[index - 1] ?? 0))
  expect(Math.max(...gaps)).toBeLessThanOrEqual(10_000)
})

test('a side that sends and hears anyway sends no ping', () => {
  const ticks = beating()
  everySecond(ticks, 60, () => {
    ticks.heartbeat.sent()
    ticks.heartbeat.heard()
  })
  expect(ticks.events).toEqual([])
})

test('a side that sends but hears nothing asks for an answer before it gives up', () => {
  const ticks = beating()
  everySecond(ticks, 60, () => ticks.heartbeat.sent())
  expect(ticks.events[0]).toMatch(/^ping/)
  expect(ticks.events.at(-1)).toMatch(/^lost/)
})

test('two beats of silence lose the connection, once, and not before', () => {
  const ticks = beating({ pings: false })
  ticks.clock.advance(4_000)
  ticks.heartbeat.heard()
  ticks.clock.advance(100_000)
  expect(ticks.events).toHaveLength(1)
  const lostMs = Number(ticks.events[0]?.split(' ')[1])
  expect(lostMs - 4_000).toBeGreaterThanOrEqual(20_000)
  expect(lostMs - 4_000).toBeLessThanOrEqual(30_000)
})

test('whatever is heard keeps it alive', () => {
  const ticks = beating({ pings: false })
  for (let beat = 0; beat < 20; beat++) {
    ticks.clock.advance(19_000)
    ticks.heartbeat.heard()
  }
  expect(ticks.events).toEqual([])
})

test('nothing happens after stop, which may be repeated', () => {
  const ticks = beating()
  ticks.heartbeat.stop()
  ticks.heartbeat.stop()
  ticks.clock.advance(100_000)
  expect(ticks.events).toEqual([])
  expect(ticks.clock.nextTimerMs).toBeUndefined()
})
