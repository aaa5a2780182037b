// What people type and read: times, durations, sizes, counts.

import { InvalidArgumentError } from 'commander'
import { describe, expect, test } from 'vitest'
import {
  collectProperty, formatBytes, formatCount, formatDuration, formatTime, parseCount, parseDurationMs, parseDurationsMs,
  parseFrom, parseResetTarget, parseSizeBytes, parseTime, parseWord,
} from '../../../server/cli/values.ts'

const nowMs = Date.UTC(2026, 10, 22, 14, 30)

describe('a time', () => {
  test.each([
    ['now', nowMs],
    ['-10m', nowMs - 600_000],
    ['10m ago', nowMs - 600_000],
    ['2d ago', nowMs - 172_800_000],
    ['1795357800000', 1_795_357_800_000],
    ['2026-11-22T14:30:00Z', nowMs],
    ['2026-11-22T15:30+01:00', nowMs],
    ['2026-11-22 14:30:00.000Z', nowMs],
  ])('reads %s', (text, expectedMs) => {
    expect(parseTime(text, nowMs).getTime()).toBe(expectedMs)
  })

  test('without a zone is local, also when it is a date alone', () => {
    expect(parseTime('2026-11-22').getTime()).toBe(new Date(2026, 10, 22).getTime())
    expect(parseTime('2026-11-22T14:30').getTime()).toBe(new Date(2026, 10, 22, 14, 30).getTime())
  })

  test.each(['', '10m', 'yesterday', '1795357800', '2026-13-45', '10 ago', '--10m'])('refuses %j', (text) => {
    expect(() => parseTime(text, nowMs)).toThrow(InvalidArgumentError)
  })

  test('prints its date only on another day', () => {
    const local = new Date(2026, 10, 22, 4, 5, 6, 7).getTime()
    expect(formatTime(local, local)).toBe('04:05:06.007')
    expect(formatTime(local, local + 5 * 86_400_000)).toBe('2026-11-22 04:05:06.007')
  })
})

describe('a start', () => {
  test('is earliest, latest or a time', () => {
    expect(parseFrom('earliest')).toBe('earliest')
    expect(parseFrom('latest')).toBe('latest')
    expect(parseFrom('1795357800000')).toEqual(new Date(1_795_357_800_000))
    expect(() => parseFrom('first')).toThrow(/earliest, latest or a time/)
  })

  test('of a reset may be an offset', () => {
    expect(parseResetTarget('offset:12')).toEqual({ offset: 12 })
    expect(parseResetTarget('latest')).toBe('latest')
    expect(() => parseResetTarget('offset:-1')).toThrow(InvalidArgumentError)
  })
})

describe('a duration', () => {
  test.each([
    ['500ms', 500], ['30s', 30_000], ['5m', 300_000], ['2h', 7_200_000], ['3d', 259_200_000], ['1.5s', 1_500], ['0', 0],
  ])('reads %s', (text, expectedMs) => expect(parseDurationMs(text)).toBe(expectedMs))

  test('may be several', () => expect(parseDurationsMs('1s,5s,1m')).toEqual([1_000, 5_000, 60_000]))

  test.each(['', '5 weeks', '-5s', 's', '1s,'])('refuses %j', (text) => {
    expect(() => parseDurationsMs(text)).toThrow(InvalidArgumentError)
  })

  test.each([[0, '0s'], [500, '500ms'], [90_000, '90s'], [259_200_000, '72h'], [604_800_000, '7d']])(
    'prints %d ms as %s', (durationMs, text) => expect(formatDuration(durationMs)).toBe(text),
  )
})

describe('a number', () => {
  test('of bytes has a unit', () => {
    expect(parseSizeBytes('100')).toBe(100)
    expect(parseSizeBytes('64KiB')).toBe(65_536)
    expect(parseSizeBytes('1.5 mib')).toBe(1_572_864)
    expect(() => parseSizeBytes('10 MB')).toThrow(InvalidArgumentError)
    expect([0, 1023, 1536, 5_242_880].map(formatBytes)).toEqual(['0 B', '1023 B', '1.5 KiB', '5.0 MiB'])
  })

  test('of things is whole and large enough', () => {
    expect(parseCount(1)('1_000')).toBe(1_000)
    for (const text of ['0', '-1', '1.5', 'many', '']) expect(() => parseCount(1)(text)).toThrow(InvalidArgumentError)
    expect(formatCount(1_234_567.8)).toBe('1,234,568')
  })
})

test('a word may be typed in small letters', () => {
  expect(parseWord('NORMAL', 'FIFO')('fifo')).toBe('FIFO')
  expect(parseWord('strict', 'relaxed')('Relaxed')).toBe('relaxed')
  expect(parseWord('strict', 'relaxed')('strict')).toBe('strict')
  expect(() => parseWord('NORMAL', 'FIFO')('lifo')).toThrow('It takes NORMAL or FIFO.')
})

test('properties collect, and a value may contain =', () => {
  expect([...collectProperty('b=x=y', collectProperty('a=1'))]).toEqual([['a', '1'], ['b', 'x=y']])
  for (const text of ['a', '=1', '']) expect(() => collectProperty(text)).toThrow(InvalidArgumentError)
})
