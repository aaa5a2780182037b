// The example runs and adds up; and its report would tell if it did not.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { HistoryEvent } from '../checkers/history.ts'
import { RelayProcess } from '../support/relay-process.ts'
import { type Flight, loadFlights, tagOf } from './flights-data.ts'
import { type Audience, everyFlight, isDelayed, reportFlights } from './flights-report.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

async function runExample(...args: readonly string[]): Promise<{ output: string; exitCode: number | null }> {
  const child = spawn(
    process.execPath,
    [join(root, 'tools', 'run.mjs'), join(root, 'test', 'examples', 'flights.ts'), '--count', '1500', ...args],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  const [exitCode] = (await once(child, 'close')) as [number | null]
  return { output, exitCode }
}

describe('the example', () => {
  test('adds up when the relay and a member are killed', { timeout: 60_000 }, async () => {
    const { output, exitCode } = await runExample()
    expect(output).toContain('Killing the relay')
    expect(output).toContain('Killing desk-2')
    expect(output).toMatch(/^consumed by desks \(CLUSTERING\) +1,500 +1,500 +ok$/m)
    expect(output).toMatch(/^order violations, \d+ origins +0 +0 +ok$/m)
    expect(output).toContain('Everything adds up.')
    expect(exitCode).toBe(0)
  })

  test('adds up on a relay that runs already, again and again', { timeout: 60_000 }, async () => {
    await using relay = await RelayProcess.start()
    for (let run = 0; run < 2; run++) {
      const { output, exitCode } = await runExample('--url', relay.url)
      expect(output).toContain('not ours to kill')
      expect(output).not.toContain('Killing the relay')
      expect(output).toContain('Everything adds up.')
      expect(exitCode).toBe(0)
    }
  })
})

describe('the report', () => {
  const audiences: readonly Audience[] = [
    { group: 'desks', mode: 'CLUSTERING', isMeant: everyFlight },
    { group: 'board', mode: 'BROADCASTING', isMeant: everyFlight },
    { group: 'delay-desk', mode: 'CLUSTERING', isMeant: isDelayed },
  ]

  const reportOf = async (change: (history: readonly HistoryEvent[]) => readonly HistoryEvent[], storedCount = 200) => {
    const flights = await loadFlights(200)
    return reportFlights(flights, change(historyOf(flights)), storedCount, audiences)
  }

  test('is right when all was sent, stored, and consumed in order', async () => {
    expect(await reportOf((history) => history)).toMatchObject({ isRight: true })
  })

  const isOf = (group: string, kind: HistoryEvent['kind'], message: number) => (event: HistoryEvent) =>
    event.kind === kind && 'group' in event && event.group === group && event.message === message

  test('is wrong when a message was stored twice', async () => {
    expect(await reportOf((history) => history, 201)).toMatchObject({ isRight: false })
  })

  test.each(['desks', 'board', 'delay-desk'])('is wrong when %s missed a flight', async (group) => {
    const report = await reportOf((history) => {
      const missed = history.find((event) => 'group' in event && event.group === group)
      const message = (missed as { readonly message: number }).message
      return history.filter((event) => !('group' in event && event.group === group && event.message === message))
    })
    expect(report).toMatchObject({ isRight: false, text: /WRONG/ })
  })

  test('is wrong when a flight came again for no reason', async () => {
    const report = await reportOf((history) => [...history, ...history.filter(isOf('desks', 'delivered', 199))])
    expect(report).toMatchObject({ isRight: false })
  })

  test('is wrong when an origin’s flights came the wrong way round', async () => {
    const report = await reportOf((history) => {
      const isSent = (event: HistoryEvent) => event.kind === 'sent'
      return [...history.filter(isSent), ...history.toReversed().filter((event) => !isSent(event))]
    })
    expect(report.text).toMatch(/order violations.*WRONG/)
  })

  test('is wrong when an on-time flight got through the filter', async () => {
    const report = await reportOf((history) => {
      const onTime = history.find((event) => event.kind === 'sent' && !delayedNumbers.has(event.message as number))
      const { message } = onTime as { readonly message: number }
      return [...history, { kind: 'delivered', message, group: 'delay-desk', member: 'delay-desk', attempt: 1 }]
    })
    expect(report).toMatchObject({ isRight: false })
  })
})

const delayedNumbers = new Set((await loadFlights(200)).filter(isDelayed).map((flight) => flight.number))

/** All goes well. */
function historyOf(flights: readonly Flight[]): HistoryEvent[] {
  return flights.flatMap((flight) => {
    const message = flight.number
    const groups = tagOf(flight) === 'delayed' ? ['desks', 'delay-desk'] : ['desks']
    return [
      { kind: 'sent', message, topic: 'flights', messageGroup: flight.origin },
      { kind: 'acknowledged', message },
      { kind: 'delivered', message, group: 'board', member: 'board', attempt: 0 },
      ...groups.flatMap((group): HistoryEvent[] => [
        { kind: 'delivered', message, group, member: group, attempt: 1 },
        { kind: 'acking', message, group, member: group, attempt: 1 },
        { kind: 'consumed', message, group, member: group },
      ]),
    ] satisfies HistoryEvent[]
  })
}
