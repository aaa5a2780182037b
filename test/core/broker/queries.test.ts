// Finding a message by its id, wherever what its producer sent has gone.

import { describe, expect, it } from 'vitest'
import type { FoundMessage, PublishReceipt } from '../../../core/broker/door.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { keyKinds } from '../../../core/storage/keys.ts'
import { BrokerWorld, encodeMessages, idBytes } from './broker-world.ts'
import { end, prepare } from './transaction-world.ts'

/** Where and what the messages of an id are: `topic: body`. */
async function found(world: BrokerWorld, messageId: string, topic = ''): Promise<string[]> {
  const messages = await world.must<readonly FoundMessage[]>((answer) =>
    world.broker.query({ topic, messageId, key: undefined, fromMs: 0, toMs: 0, after: undefined, messageCountMax: 10 }, answer))
  return messages.map(({ topic: name, queueId, record }) => {
    const message = RecordBatch.open(record).messageAt(0, name, queueId)
    expect(message.messageId).toBe(messageId)
    return `${name}: ${new TextDecoder().decode(message.body)}`
  })
}

const id = (producer: number, sequence: number, epoch = 0) => `${producer.toString(16).padStart(16, '0')}-${epoch}-${sequence}`

describe('an id', () => {
  it('of a transaction leads to its message, whichever topics its parts went to', async () => {
    const world = await BrokerWorld.open({ limits: { tailCacheBytesMax: 0 } })
    await world.createTopic('f', { messageType: 'FIFO', queueCount: 4 })
    const grouped = (bodies: string[]) => bodies.map((body) => ({ body, messageGroup: `g${body}` }))
    const parts = [
      { topic: 'a', bodies: ['0', '1'] }, { topic: 'f', bodies: ['2', '3', '4', '5', '6'] }, { topic: 'b', bodies: ['7'] },
      { topic: 'a', bodies: ['8'] }, { topic: 'f', bodies: ['9'] }, { topic: 'b', bodies: ['10', '11'] },
    ]
    let base = 0
    for (const { topic, bodies } of parts) {
      expect(await prepare(world, 5, topic === 'f' ? grouped(bodies) : bodies, { topic, base })).toBe('done')
      base += bodies.length
    }
    await end(world, 5, 'commit', { count: base })
    for (let life = 0; life < 2; life++) {
      for (const { topic, bodies } of parts) {
        for (const body of bodies) {
          expect(await found(world, id(5, Number(body)))).toEqual([`${topic}: ${body}`])
          expect(await found(world, id(5, Number(body)), topic)).toEqual([`${topic}: ${body}`])
          expect(await found(world, id(5, Number(body)), topic === 'a' ? 'b' : 'a')).toEqual([])
        }
      }
      expect(await found(world, id(5, base))).toEqual([])
      await world.reopen()
    }
  })

  it('that a producer gave in two topics leads to both', async () => {
    const world = await BrokerWorld.open()
    for (const topic of ['a', 'b', 'c']) await world.publish(topic, [`${topic}0`, `${topic}1`])
    for (const sequence of [0, 1]) {
      expect(
        (await found(world, id(1, sequence))).sort(),
      ).toEqual(['a', 'b', 'c'].map((topic) => `${topic}: ${topic}${sequence}`))
    }
    await world.must((answer) => world.broker.deleteTopic('b', answer))
    await world.settle()
    expect((await found(world, id(1, 0))).sort()).toEqual(['a: a0', 'c: c0'])
  })

  it('leads to what was delayed, and a resend is told of it as at first', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1, tailCacheBytesMax: 0 } })
    const batch = ['0', { body: '1', delayMs: 1_000 }, '2', { body: '3', delayMs: 9_000 }, '4']
    const first = await world.publish('t', batch)
    await world.publish('t', ['5'])
    await world.advance(20_000)
    for (const sequence of [0, 1, 2, 3, 4, 5]) expect(await found(world, id(1, sequence))).toEqual([`t: ${sequence}`])
    const { duplicate, segments, scheduled } = await world.tryPublish('t', batch, 1, { baseSequence: 0 }) as PublishReceipt
    expect([duplicate, segments, scheduled]).toEqual([true, first.segments, first.scheduled])
  })

  it('leads to one of many batches, and of many messages in one record', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1, tailCacheBytesMax: 0 } })
    let sequence = 0
    for (let batch = 0; batch < 200; batch++) {
      const bodies = Array.from({ length: batch % 7 === 0 ? 5 : 1 }, (_, index) => `${batch}.${index}`)
      world.broker.publish({
        topic: 't', producerId: idBytes(3), producerEpoch: 0, baseSequence: sequence, messageCount: bodies.length, sentMs: 0,
        messages: encodeMessages(bodies, 0),
      }, () => {}, 'c')
      sequence += bodies.length
      // Some of them in one turn.
      if (batch % 10 === 9) await world.settle()
    }
    expect(await world.entries(keyKinds.record)).toHaveLength(20)
    sequence = 0
    for (let batch = 0; batch < 200; batch++) {
      for (let index = 0; index < (batch % 7 === 0 ? 5 : 1); index++) {
        if (batch % 13 === 0) expect(await found(world, id(3, sequence))).toEqual([`t: ${batch}.${index}`])
        sequence++
      }
    }
    expect(await found(world, id(3, sequence))).toEqual([])
    expect(await found(world, id(3, 0, 1))).toEqual([])
  })
})
