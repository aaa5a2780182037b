// What must hold, or the program has a bug.

import { expect, test } from 'vitest'
import { assert, AssertionError, must, unreachable } from '../../core/assert.ts'

test('an assertion that holds is silent, one that does not says what should have been', () => {
  expect(() => assert(1, 'fine')).not.toThrow()
  for (const broken of [false, 0, '', null, undefined]) {
    expect(() => assert(broken, 'this must hold')).toThrow(new AssertionError('this must hold'))
  }
})

test('must gives what is there, also where it is falsy, and refuses what is not', () => {
  expect(must(0, 'a count')).toBe(0)
  expect(must('', 'a text')).toBe('')
  expect(() => must(undefined, 'a value')).toThrow(AssertionError)
  expect(() => must(null, 'a value')).toThrow('a value')
})

test('a branch that the types exclude is a bug when it is reached', () => {
  expect(() => unreachable('surprise' as never)).toThrow('unreachable: surprise')
})
