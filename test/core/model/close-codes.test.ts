// Why a connection ended, and whether to come back: the range says it.

import { describe, expect, test } from 'vitest'
import { closeCodes, isReconnectable } from '../../../core/model/close-codes.ts'

describe('close codes', () => {
  test('are distinct and in the ranges that applications may use', () => {
    const codes = Object.values(closeCodes)
    expect(new Set(codes).size).toBe(codes.length)
    for (const code of codes) expect(code === 1000 || (code >= 4000 && code <= 4999)).toBe(true)
  })

  test('from 4000 to 4499 say reconnect, from 4500 on they say stop', () => {
    expect([4000, 4001, 4499].map(isReconnectable)).toEqual([true, true, true])
    expect([4500, 4999].map(isReconnectable)).toEqual([false, false])
  })

  test('of this build lie in the range of their advice', () => {
    const reconnecting = Object.entries(closeCodes).filter(([, code]) => isReconnectable(code)).map(([name]) => name)
    expect(reconnecting).toEqual([
      'NORMAL', 'RELAY_STOPPING', 'SLOW_READER', 'HEARTBEAT_LOST', 'OVERLOADED', 'STORE_FAILED', 'REPLACED', 'INTERNAL',
    ])
  })

  test('of WebSocket itself say reconnect, but for those that another try would meet again', () => {
    expect([1000, 1001, 1005, 1006, 1011, 1012, 1013, 1015].every(isReconnectable)).toBe(true)
    expect([1002, 1003, 1007, 1008, 1009].some(isReconnectable)).toBe(false)
  })
})
