// Consumers over the real broker.
import { expect, test } from 'vitest'
import { ClientWorld } from './client-world.ts'

test('what is sent is consumed once by one member of a group, in order', async () => {
  const world = await ClientWorld.open()
  const client = await world.connect()
  const topic = client.topic<{ n: number }>('orders')
  const receipts = await world.until(Promise.all(Array.from({ length: 10 }, (_, n) => topic.send({ n }))))
  expect(receipts.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  const got: number[] = []
  const consumer = topic.consume({ group: 'till' })
  const run = consumer.run((message) => {
    got.push(message.value.n)
    expect(message.attempt).toBe(1)
  })
  await world.pass(1000)
  expect(got).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  await world.until(consumer.close())
  await run
  const detail = await world.until(client.admin.describeGroup('till'))
  expect(detail.queues.reduce((sum, queue) => sum + queue.backlog, 0)).toBe(0)
  expect(world.errors).toEqual([])
  await world.until(client.close())
  expect(client.link).toBe('closed')
})
