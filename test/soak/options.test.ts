// The soak's command line.

import { expect, test } from 'vitest'
import { parseOptions } from './options.ts'

test('ten minutes after six, unless told otherwise', () => {
  expect(parseOptions([])).toEqual({ options: { minutes: 10, warmupMinutes: 6, everySeconds: 30 } })
  expect(parseOptions(['--minutes', '60', '--warmup', '1', '--every', '5']))
    .toEqual({ options: { minutes: 60, warmupMinutes: 1, everySeconds: 5 } })
})

test.each([
  ['--minutes', '0'], ['--minutes', '1.5'], ['--minutes', '1441'], ['--warmup', 'x'], ['--every', '-1'], ['--nothing', '1'],
])('%s %s is refused in a line', (flag, value) => {
  const parsed = parseOptions([flag, value])
  expect(parsed).toMatchObject({ exitCode: 2 })
  expect('text' in parsed && parsed.text).toContain(flag)
})

test('--help tells of each flag', () => {
  const parsed = parseOptions(['--help'])
  expect(parsed).toMatchObject({ exitCode: 0 })
  expect('text' in parsed && parsed.text).toMatch(/--minutes[\s\S]*--warmup[\s\S]*--every/)
})
