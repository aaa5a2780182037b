// A device under random trouble, from a seed: pages send, the engine dies in the middle of commits, the network and the
// relay come and go. What was told to be stored is at the relay once, in order per producer, and a copy has all of it.

import { expect, test } from 'vitest'
import type { PocketError } from '../../core/errors.ts'
import { parseMessageId } from '../../core/model/message.ts'
import { createSimRandom, type SimRandom } from '../sim/sim-random.ts'
import type { OutboxProducer } from '../../web-client/engine/relay-link.ts'
import { bodyOf, collect, DeviceWorld } from './device-world.ts'

const stepCount = 60
const seeds = Array.from({ length: 30 }, (_, index) => index + 1)

/** A page as it counts: from the last that was told to be stored, and sending the rest again to every new engine. */
class Page {
  readonly stored: string[] = []
  readonly refusedHere: string[] = []
  /** Sent and not told of, in order. */
  unanswered: { readonly text: string; readonly isBad: boolean }[] = []
  readonly #name: string
  #identity = { producerId: '', producerEpoch: 0, sequenceNext: 0 }
  #producer!: OutboxProducer
  #life = 0
  #count = 0

  constructor(name: string, producerId: string) {
    this.#name = name
    this.#identity = { producerId, producerEpoch: 0, sequenceNext: 0 }
  }

  /** A new engine. */
  meet(world: DeviceWorld): void {
    this.#life++
    this.#producer = world.producer('orders', this.#identity)
    for (const { text, isBad } of this.unanswered) this.#send(text, isBad)
  }

  send(count: number, random: SimRandom): void {
    for (let sent = 0; sent < count; sent++) {
      const isBad = random.chance(0.05)
      const text = `${this.#name}${String(this.#count++).padStart(5, '0')}${isBad ? ' bad' : ''}`
      this.unanswered.push({ text, isBad })
      this.#send(text, isBad)
    }
    this.#producer.seal()
  }

  #send(text: string, isBad: boolean): void {
    const life = this.#life
    this.#producer.send(bodyOf(text), isBad ? { messageGroup: 'g' } : {}).stored.then(({ messageId }) => {
      if (life !== this.#life) return
      expect(this.unanswered.shift()?.text).toBe(text)
      this.stored.push(text)
      const { producerId, producerEpoch, sequence } = parseMessageId(messageId)
      this.#identity = { producerId, producerEpoch, sequenceNext: sequence + 1 }
    }, (error: PocketError) => {
      if (life !== this.#life) return
      this.refusedHere.push(`${text}: ${error.code}`)
    })
  }

  /** Its engine is gone: what it may still say is not heard. */
  lost(): void {
    this.#life++
  }
}

test.each(seeds)('what was stored is at the relay once and in order, with seed %i', async (seed) => {
  const random = createSimRandom(seed)
  const world = await DeviceWorld.open({}, { seed })
  const { network } = world.relay
  const client = await world.relay.connect()
  await world.until(client.admin.createTopic('orders', { messageType: 'NORMAL', queueCount: 1 }))
  const pages = [new Page('a', '00000000000000aa'), new Page('b', '00000000000000bb'), new Page('c', '00000000000000cc')]
  for (const page of pages) page.meet(world)
  let isRelayUp = true
  for (let step = 0; step < stepCount; step++) {
    for (const page of pages) if (random.chance(0.5)) page.send(1 + random.below(4), random)
    if (random.chance(0.5)) await world.relay.pass(random.below(8))
    else world.relay.clock.runUntilIdle()
    if (random.chance(0.08)) {
      network.isDown = !network.isDown
      if (network.isDown) network.cut()
    }
    if (random.chance(0.05)) network.cut()
    if (random.chance(0.06)) {
      if (isRelayUp) world.relay.stopBroker()
      else await world.relay.startBroker()
      isRelayUp = !isRelayUp
    }
    if (random.chance(0.1)) {
      for (const page of pages) page.lost()
      await world.restart()
      for (const page of pages) page.meet(world)
    }
    if (random.chance(0.1)) await world.relay.pass(random.below(2_000))
  }
  network.isDown = false
  if (!isRelayUp) await world.relay.startBroker()
  world.link.nudge()
  const copy = collect(world.link.broadcast('orders', { group: 'copy', mode: 'BROADCASTING', from: 'earliest' }))
  await world.relay.pass(120_000)
  const found = (await world.atRelay('orders')).map(({ text }) => text)
  for (const [index, page] of pages.entries()) {
    expect(page.unanswered).toEqual([])
    expect(page.refusedHere).toEqual([])
    const name = 'abc'[index] as string
    expect(found.filter((text) => text.startsWith(name))).toEqual(page.stored.filter((text) => !text.endsWith('bad')))
  }
  const bad = pages.flatMap(({ stored }) => stored.filter((text) => text.endsWith('bad')))
  expect(new Set(world.refusals.flatMap(({ messageIds }) => messageIds)).size).toBe(bad.length)
  expect(copy.texts).toEqual(found)
  expect(world.link.status).toMatchObject({ outboxCount: 0, outboxBytes: 0 })
  expect(world.gaps).toEqual([])
}, 60_000)
