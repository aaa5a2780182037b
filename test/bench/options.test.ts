// The command line of the bench.

import { describe, expect, test } from 'vitest'

import { fullPace, quickPace, scenarioNames } from './job.ts'
import { parseOptions } from './options.ts'

const systemNames = ['pocketmq', 'ws', 'nats']

describe('parseOptions', () => {
  test('takes everything, at full length, by default', () => {
    expect(parseOptions([], systemNames)).toEqual({
      options: { pace: fullPace, isQuick: false, scenarios: scenarioNames, systems: systemNames },
    })
  })

  test('takes the named scenarios and systems', () => {
    const args = ['--only', 'open', '--only', 'fan-out-50', '--systems', 'ws,nats']
    expect(parseOptions(args, systemNames)).toMatchObject({
      options: { scenarios: ['open', 'fan-out-50'], systems: ['ws', 'nats'] },
    })
  })

  test('takes scenarios with commas between too', () => {
    expect(parseOptions(['--only', 'delayed, transactions', '--only', 'filter-cost'], systemNames)).toMatchObject({
      options: { scenarios: ['delayed', 'transactions', 'filter-cost'] },
    })
  })

  test('makes a quick run one round, unless rounds are asked for', () => {
    expect(parseOptions(['--quick'], systemNames)).toMatchObject({ options: { pace: quickPace, isQuick: true } })
    expect(parseOptions(['--quick', '--rounds', '2'], systemNames)).toMatchObject({
      options: { pace: { roundCount: 2, measureMs: quickPace.measureMs } },
    })
  })

  test.each([
    [['--bogus'], '--bogus'],
    [['--only', 'nothing'], '--only'],
    [['--only', 'open,nothing'], "'nothing'"],
    [['--systems', 'ws,kafka'], 'kafka'],
    [['--rounds', '0'], '--rounds'],
    [['--rounds', '1.5'], '--rounds'],
    [['--json', '/no/such/folder/out.json'], '--json'],
    [['--json'], '--json'],
    [['stray'], 'too many arguments'],
  ])('refuses %j in one line that names the flag, with exit code 2', (args, named) => {
    const parsed = parseOptions(args, systemNames)
    expect(parsed).toMatchObject({ exitCode: 2, text: expect.stringContaining(named) })
    expect('text' in parsed && parsed.text.trim()).not.toContain('\n')
  })

  test('answers --help with every flag and exit code 0', () => {
    const parsed = parseOptions(['--help'], systemNames)
    expect(parsed).toMatchObject({ exitCode: 0 })
    for (const flag of ['--quick', '--only', '--systems', '--rounds', '--json']) {
      expect('text' in parsed && parsed.text).toContain(flag)
    }
  })
})
