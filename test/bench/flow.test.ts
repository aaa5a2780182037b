// The flow is what makes a figure honest: it must not end before all has arrived, and not pass over loss.

import { describe, expect, test } from 'vitest'

import { Flow } from './flow.ts'

const bodyBytes = 100

describe('Flow', () => {
  test('ends a phase when everything sent was delivered and answered', async () => {
    const flow = new Flow({ deliveriesPerSend: 2, acknowledges: true, bodyBytes, drainMsMax: 5000 })
    const phase = flow.run(10, () => {
      flow.countSent()
      queueMicrotask(() => {
        flow.countDelivered(bodyBytes)
        flow.countDelivered(bodyBytes)
        flow.countAcknowledged()
      })
    })
    await expect(phase).resolves.toBe(1)
  })

  test('counts the sends of each phase by itself', async () => {
    const flow = new Flow({ deliveriesPerSend: 1, acknowledges: false, bodyBytes, drainMsMax: 5000 })
    const pump = (): void => {
      flow.countSent()
      flow.countDelivered(bodyBytes)
    }
    await flow.run(1, pump)
    await expect(flow.run(1, pump)).resolves.toBe(1)
    expect(flow.sentCount).toBe(2)
  })

  test('ends where only the first of every few sends is to be delivered', async () => {
    const options = { deliveriesPerSend: 1, sendsPerDelivery: 3, acknowledges: false, bodyBytes, drainMsMax: 5 }
    const flow = new Flow(options)
    const phase = flow.run(1, () => {
      for (let count = 0; count < 4; count++) flow.countSent()
      flow.countDelivered(bodyBytes)
      flow.countDelivered(bodyBytes)
    })
    await expect(phase).resolves.toBe(4)
  })

  test('fails when a message is filtered out that should pass', async () => {
    const options = { deliveriesPerSend: 1, sendsPerDelivery: 3, acknowledges: false, bodyBytes, drainMsMax: 5 }
    const flow = new Flow(options)
    const phase = flow.run(1, () => {
      for (let count = 0; count < 4; count++) flow.countSent()
      flow.countDelivered(bodyBytes)
    })
    await expect(phase).rejects.toThrow('1 messages did not arrive')
  })

  test('fails when a message is lost', async () => {
    const flow = new Flow({ deliveriesPerSend: 1, acknowledges: false, bodyBytes, drainMsMax: 5 })
    const phase = flow.run(1, () => {
      flow.countSent()
      flow.countSent()
      flow.countDelivered(bodyBytes)
    })
    await expect(phase).rejects.toThrow('1 messages did not arrive')
  })

  test('fails when a message comes twice', async () => {
    const flow = new Flow({ deliveriesPerSend: 1, acknowledges: false, bodyBytes, drainMsMax: 5000 })
    const phase = flow.run(1, () => {
      flow.countSent()
      flow.countDelivered(bodyBytes)
      flow.countDelivered(bodyBytes)
    })
    await expect(phase).rejects.toThrow('duplicates')
  })

  test('fails when a body has another length', async () => {
    const flow = new Flow({ deliveriesPerSend: 1, acknowledges: false, bodyBytes, drainMsMax: 5000 })
    const phase = flow.run(1, () => {
      flow.countSent()
      flow.countDelivered(99)
    })
    await expect(phase).rejects.toThrow('a body of 99 bytes arrived')
  })
})
