// A wave of delayed messages must notice every one that is early, missing or there twice.

import { describe, expect, test, vi } from 'vitest'

import { dueAfterMs, dueCountPerMs, inOrder, scattered, Wave } from './delayed.ts'
import { fullPace, quickPace } from '../job.ts'

const count = 10 * dueCountPerMs

describe('dueAfterMs', () => {
  test.each([fullPace.backlogCount, fullPace.backlogCount / 20, quickPace.backlogCount, quickPace.backlogCount / 20])(
    'has 100 of %i messages come due each millisecond',
    (messageCount) => {
      const countByMs = new Uint32Array(messageCount / dueCountPerMs)
      for (let index = 0; index < messageCount; index++) countByMs[dueAfterMs(index, messageCount, scattered)]! += 1
      expect(new Set(countByMs)).toEqual(new Set([dueCountPerMs]))
    },
  )

  test('scatters neighbours', () => {
    expect(dueAfterMs(1, 1_000_000, scattered)).toBeGreaterThan(1000)
    expect(dueAfterMs(1, 1_000_000, inOrder)).toBe(0)
  })
})

describe('Wave', () => {
  test('ends when every message has arrived, and tells how late each was', async () => {
    const { wave, dueMs } = await scheduleWave({ firstDueMs: Date.now() - 1000 })
    for (const deliverMs of dueMs) wave.arrived(deliverMs, deliverMs)
    await expect(wave.end(0)).resolves.toBeUndefined()
    expect(wave.latenessMs).toHaveLength(count)
    expect(Math.min(...wave.latenessMs)).toBeGreaterThan(0)
  })

  test('fails when a message arrives before it is due', async () => {
    const { wave, dueMs } = await scheduleWave({ firstDueMs: Date.now() + 60_000 })
    wave.arrived(dueMs[0] as number, dueMs[0] as number)
    await expect(wave.end(0)).rejects.toThrow('early')
  })

  test('fails when a message was stored before it is due', async () => {
    const { wave, dueMs } = await scheduleWave({ firstDueMs: Date.now() - 1000 })
    wave.arrived(dueMs[0] as number, (dueMs[0] as number) - 1)
    await expect(wave.end(0)).rejects.toThrow('early')
  })

  test('fails when a message comes twice', async () => {
    const { wave, dueMs } = await scheduleWave({ firstDueMs: Date.now() - 1000 })
    const [firstMs] = dueMs
    const otherMs = dueMs.find((deliverMs) => deliverMs !== firstMs) as number
    for (const deliverMs of [...dueMs.slice(1), otherMs]) wave.arrived(deliverMs, deliverMs)
    await expect(wave.end(0)).rejects.toThrow('twice')
  })

  test('fails when a message does not come', async () => {
    const { wave, dueMs } = await scheduleWave({ firstDueMs: Date.now() - 1000 })
    for (const deliverMs of dueMs.slice(1)) wave.arrived(deliverMs, deliverMs)
    await expect(wave.end(0)).rejects.toThrow(`${count - 1} of ${count}`)
  })

  test('fails when a message comes that nobody scheduled', async () => {
    const firstDueMs = Date.now() - 1000
    const { wave } = await scheduleWave({ firstDueMs })
    wave.arrived(firstDueMs - 1, firstDueMs)
    await expect(wave.end(0)).rejects.toThrow('none was')
  })

  test('has no more than its window in flight', () => {
    const schedule = vi.fn()
    const wave = new Wave({ schedule }, 100_000, Date.now(), scattered)
    void wave.schedule()
    const inFlightCount = schedule.mock.calls.length
    expect(inFlightCount).toBeLessThan(100_000)
    wave.scheduled()
    expect(schedule).toHaveBeenCalledTimes(inFlightCount + 1)
  })
})

/** A wave whose messages are all taken, and the times they are due. */
async function scheduleWave({ firstDueMs }: { firstDueMs: number }) {
  const dueMs: number[] = []
  const wave: Wave = new Wave(
    {
      schedule(deliverMs) {
        dueMs.push(deliverMs)
        queueMicrotask(() => wave.scheduled())
      },
    },
    count,
    firstDueMs,
    scattered,
  )
  await wave.schedule()
  return { wave, dueMs }
}
