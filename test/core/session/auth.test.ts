// Who may ask for what: each frame against principals that may do one thing only.

import { describe, expect, test } from 'vitest'
import type { FrameFields, UpstreamFrame, UpstreamName } from '../../../core/protocol/frames.ts'
import { forbiddenReason, type Principal } from '../../../core/session/auth.ts'
import { frameSpecs } from '../../support/frames.ts'
import { goldenFrames } from '../../protocol/golden.ts'

/** A right, as it is asked for: `publish orders`, `consume orders as till`, `admin topic orders group till`. */
function principalOf(granted: (right: string) => boolean): Principal {
  return {
    name: 'somebody',
    mayPublish: (topic) => granted(`publish ${topic}`),
    mayConsume: (topic, group) => granted(group === undefined ? `consume ${topic}` : `consume ${topic} as ${group}`),
    mayAdmin: ({ topic, group }) => {
      const named = [...(topic === undefined ? [] : [`topic ${topic}`]), ...(group === undefined ? [] : [`group ${group}`])]
      return granted(['admin', ...named].join(' '))
    },
  }
}

/** The rights that a frame needs, in the order they are asked for. */
function neededBy(frame: UpstreamFrame): string[] {
  const needed: string[] = []
  expect(forbiddenReason(frame, principalOf((right) => needed.push(right) > 0))).toBeUndefined()
  for (const missing of needed) {
    expect(forbiddenReason(frame, principalOf((right) => right !== missing)), missing).toMatch(/^somebody may not /)
  }
  return needed
}

function frameOf<N extends UpstreamName>(name: N, fields: Partial<FrameFields<N>> = {}): UpstreamFrame {
  return { ...goldenFrames[name].fields, ...fields, name } as unknown as UpstreamFrame
}

const expected: Readonly<Record<UpstreamName, readonly string[]>> = {
  HELLO: [],
  PING: [],
  PUBLISH: ['publish orders'],
  SUBSCRIBE: ['consume orders as till'],
  UNSUBSCRIBE: [],
  CREDIT: [],
  ACK: [],
  RETRY: [],
  EXTEND: [],
  RECEIVE: [],
  PULL: ['consume orders'],
  QUERY: ['consume orders'],
  CREATE_TOPIC: ['admin topic orders'],
  LIST_TOPICS: ['admin'],
  DESCRIBE_TOPIC: ['admin topic __proto__'],
  DELETE_TOPIC: ['admin topic orders'],
  CONFIGURE_GROUP: ['admin group till'],
  LIST_GROUPS: ['admin'],
  DESCRIBE_GROUP: ['admin group till'],
  RESET_GROUP: ['admin topic orders group till'],
  CONFIGURE_TOPIC: ['admin topic orders'],
  DELETE_GROUP: ['admin group till'],
  SETTLE_HELD: ['admin topic orders group till'],
  RESEND_DEAD_LETTERS: ['admin group till'],
  PURGE_DEAD_LETTERS: ['admin group till'],
  RECALL: ['publish orders'],
  LIST_DELAYED: ['admin topic orders'],
  PREPARE: ['publish orders'],
  END_TRANSACTION: ['publish '],
  REGISTER_PRODUCER: ['publish '],
  UNREGISTER_PRODUCER: ['publish '],
  LIST_TRANSACTIONS: ['admin'],
  REPLY: [],
  QUERY_TRACE: ['consume orders'],
  FOLLOW: ['consume orders', 'consume __proto__', 'admin'],
  POSITIONS: [],
  DESCRIBE_RELAY: ['admin'],
  LIST_CONNECTIONS: ['admin'],
  CLOSE_CONNECTION: ['admin'],
}

describe('a principal needs', () => {
  test.each(Object.entries(expected) as [UpstreamName, readonly string[]][])('for %s: %j', (name, rights) => {
    expect(neededBy(frameOf(name))).toEqual(rights)
  })

  test('something written here for every frame', () => {
    const upstream = frameSpecs.filter(({ direction }) => direction === 'upstream').map(({ name }) => name)
    expect(Object.keys(expected).sort()).toEqual(upstream.sort())
  })

  test('to read a topic, and nothing else, for following it without progress', () => {
    expect(neededBy(frameOf('FOLLOW', { topics: ['a', 'b'], withProgress: false }))).toEqual(['consume a', 'consume b'])
  })

  test('to read all topics for following none, whatever a broker makes of it', () => {
    expect(neededBy(frameOf('FOLLOW', { topics: [], withProgress: false }))).toEqual(['consume '])
  })

  test('to administer all topics for listing the delayed messages of all', () => {
    expect(neededBy(frameOf('LIST_DELAYED', { topic: '' }))).toEqual(['admin'])
  })

  test('to read the trace topic as any other', () => {
    const trace = 'rmq_sys_TRACE_TOPIC'
    expect(neededBy(frameOf('PULL', { topic: trace }))).toEqual([`consume ${trace}`])
    expect(neededBy(frameOf('SUBSCRIBE', { topic: trace, group: 'audit' }))).toEqual([`consume ${trace} as audit`])
  })
})
