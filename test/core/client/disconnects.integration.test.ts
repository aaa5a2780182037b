// Whole worlds from a seed: a producer and a group of two over the real broker and a network that breaks at random
// moments, never for as long as the grace time. Nobody notices: every message is handled once, in order.

import { expect, test } from 'vitest'
import type { Client } from '../../../core/client/api.ts'
import { text } from '../../../core/client/codec.ts'
import { ClientWorld } from './client-world.ts'

const messageGroups = ['a', 'b', 'c', 'd', 'e']
const messageCount = 400

interface Outcome {
  readonly world: ClientWorld
  readonly handled: readonly string[]
  readonly sent: readonly string[]
  readonly backlog: number
}

async function run(seed: number): Promise<Outcome> {
  const world = await ClientWorld.open({ seed, limits: { memberGraceMs: 120_000 } })
  const random = world.random.fork('work')
  const producer = await world.connect()
  await world.until(producer.admin.createTopic('steps', { messageType: 'FIFO', queueCount: 3 }))
  const handled: string[] = []
  const members: Client[] = [await world.connect(), await world.connect()]
  for (const member of members) {
    const steps = member.topic('steps', { codec: text })
    const consumer = steps.consume({ group: 'till', prefetch: 1 + random.below(40), lease: '120s' })
    void consumer.run(({ value }) => {
      handled.push(value)
      const workMs = random.chance(0.5) ? 0 : random.below(300)
      if (workMs === 0) return undefined
      return new Promise((resolve) => world.clock.setTimer(workMs, () => resolve()))
    }, { concurrency: 1 + random.below(8) })
  }
  const topic = producer.topic('steps', { codec: text })
  const sent: string[] = []
  const sends: Promise<unknown>[] = []
  for (let message = 0; message < messageCount; message++) {
    const messageGroup = random.pick(messageGroups)
    const body = `${messageGroup}${message}`
    sent.push(body)
    sends.push(topic.send(body, { messageGroup }))
    if (random.chance(0.2)) await world.pass(random.below(100))
    if (random.chance(0.02)) world.network.cut()
    if (random.chance(0.01)) {
      world.network.isDown = true
      world.network.cut()
      await world.pass(random.below(1_000))
      world.network.isDown = false
    }
  }
  await world.until(Promise.all(sends))
  // Deliveries lost on the way come back when their lease ends, one after the other of a message group.
  await world.pass(3_600_000)
  const { queues } = await world.until(producer.admin.describeGroup('till'))
  return { world, handled, sent, backlog: queues.reduce((sum, { backlog }) => sum + backlog, 0) }
}

test.each(Array.from({ length: 12 }, (_, index) => index + 1))('seed %i', async (seed) => {
  const { world, handled, sent, backlog } = await run(seed)
  expect(handled.length).toBe(messageCount)
  for (const messageGroup of messageGroups) {
    const ofGroup = (bodies: readonly string[]) => bodies.filter((body) => body.startsWith(messageGroup))
    expect(ofGroup(handled)).toEqual(ofGroup(sent))
  }
  expect(backlog).toBe(0)
  expect(world.errors).toEqual([])
})
