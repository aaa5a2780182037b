// Who may be called what. The rules are RocketMQ's; the bounds hold at the bound, and no further.

import { describe, expect, test } from 'vitest'
import type { PocketError } from '../../../core/errors.ts'
import { fixedLimits } from '../../../core/limits.ts'
import {
  checkGroupName, checkKey, checkMessageGroup, checkPropertyName, checkTag, checkTopicName, deadLetterTopicOf,
  isSystemTopic,
} from '../../../core/model/names.ts'

function refusal(check: (name: string) => unknown, name: string): string {
  try {
    check(name)
  } catch (error) {
    return (error as PocketError).code
  }
  return 'none'
}

describe('topics and groups', () => {
  const checks = [
    ['topic', checkTopicName, fixedLimits.topicNameLengthMax],
    ['group', checkGroupName, fixedLimits.groupNameLengthMax],
  ] as const

  test.each(checks)('a %s may have letters, digits, _ - %% and |', (_, check) => {
    for (const name of ['a', 'Orders_2026-11', '%RETRY%x', 'a|b', '__proto__', 'constructor', '0', '-']) {
      expect(refusal(check, name)).toBe('none')
    }
  })

  test.each(checks)('a %s may have nothing else, and not be empty', (_, check) => {
    for (const name of ['', ' ', 'a b', 'a.b', 'a/b', 'ä', 'a\n', '\u0000', '😀', 'a$', '*']) {
      expect(refusal(check, name)).toBe('BAD_NAME')
    }
  })

  test.each(checks)('a %s may be as long as its bound, and no longer', (_, check, lengthMax) => {
    expect(refusal(check, 'x'.repeat(lengthMax))).toBe('none')
    expect(refusal(check, 'x'.repeat(lengthMax + 1))).toBe('BAD_NAME')
    expect(refusal(check, 'x'.repeat(1_000_000))).toBe('BAD_NAME')
  })

  test('the dead letter topic of the longest group is a topic', () => {
    const topic = deadLetterTopicOf('g'.repeat(fixedLimits.groupNameLengthMax))
    expect(refusal(checkTopicName, topic)).toBe('none')
    expect(isSystemTopic(topic)).toBe(true)
    expect(refusal(checkTopicName, `%${'x'.repeat(fixedLimits.systemTopicNameLengthMax)}`)).toBe('BAD_NAME')
  })

  test('only the broker’s own prefixes make a system topic', () => {
    expect(['%DLQ%till', 'rmq_sys_x', '%'].every(isSystemTopic)).toBe(true)
    expect(['orders', 'DLQ%', 'rmq_sy', 'a%b', '__proto__'].some(isSystemTopic)).toBe(false)
  })
})

describe('what a producer says of a message', () => {
  const checks = [
    ['tag', checkTag, fixedLimits.tagBytesMax],
    ['key', checkKey, fixedLimits.keyBytesMax],
    ['message group', checkMessageGroup, fixedLimits.messageGroupBytesMax],
    ['property name', checkPropertyName, fixedLimits.keyBytesMax],
  ] as const

  test.each(checks)('a %s may be any text of its size, in bytes of UTF-8', (_, check, bytesMax) => {
    expect(check('x'.repeat(bytesMax))).toBe(bytesMax)
    expect(refusal(check, 'x'.repeat(bytesMax + 1))).toBe('BAD_NAME')
    const wide = '€'.repeat(Math.floor(bytesMax / 3))
    expect(check(wide)).toBe(wide.length * 3)
    expect(refusal(check, `${wide}€`)).toBe('BAD_NAME')
    const pairs = '😀'.repeat(Math.floor(bytesMax / 4))
    expect(check(pairs)).toBe(pairs.length * 2)
    expect(refusal(check, `${pairs}😀`)).toBe('BAD_NAME')
  })

  test.each(checks)('a %s is not blank and has no control characters', (_, check) => {
    for (const label of ['', ' ', '   ', 'a\u0000', '\ta', 'a\nb', '\u001f', 'a\u007f']) {
      expect(refusal(check, label)).toBe('BAD_NAME')
    }
    expect(refusal(check, '\u00a0')).toBe('none')
    expect(refusal(check, '\u0080')).toBe('none')
  })

  test.each(checks)('a %s has no half characters, which no bytes can say', (_, check) => {
    for (const label of ['\ud800', 'a\udfff', '\ude00\ud83d']) expect(refusal(check, label)).toBe('BAD_ARGUMENT')
    expect(refusal(check, '\ud83d\ude00')).toBe('none')
  })

  test('a tag can stand in a filter: no | in it, no blank at its ends', () => {
    for (const tag of ['a|b', '|', 'a||b', ' a', 'a ', ' a ']) expect(refusal(checkTag, tag)).toBe('BAD_NAME')
    expect(refusal(checkTag, 'on time')).toBe('none')
    expect(refusal(checkKey, ' a|b ')).toBe('none')
  })
})
