// Pages and an engine on the simulated device, step by step, where chance seldom leads.

import { wrap } from 'comlink'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { text } from '../../core/client/codec.ts'
import { PocketError } from '../../core/errors.ts'
import { silentLog } from '../../core/ports/log.ts'
import { openEngine } from '../../web-client/engine/engine.ts'
import { PageClient } from '../../web-client/page/page-client.ts'
import { endpointOf } from '../../web-client/port/engine-port.ts'
import type { TabApi } from '../../web-client/port/port-protocol.ts'
import { DeviceBrowser } from './device-browser.ts'
import { DeviceDisk } from './device-disk.ts'
import { lendGlobals } from './device-globals.ts'
import { SimLine } from './device-line.ts'
import { SimSteps } from './device-steps.ts'
import { SimClock } from './sim-clock.ts'
import { SimNetwork } from './sim-network.ts'
import { SimProcess } from './sim-process.ts'
import { createSimRandom } from './sim-random.ts'
import { Trace } from './trace.ts'

function createDevice() {
  const clock = new SimClock()
  const random = createSimRandom(1)
  const trace = new Trace(1)
  const bugs: string[] = []
  const network = new SimNetwork({ clock, random, trace, latencyMs: [1, 2], sendBufferBytesMax: 1024 * 1024 })
  const disk = new DeviceDisk(clock, random)
  const browser = new DeviceBrowser({
    clock, random, trace, network, disk, mishap: {}, engineLost: () => {}, unlinked: () => {}, bug: (text) => bugs.push(text),
  })
  return {
    clock, trace, network, disk, browser, bugs,
    steps: new SimSteps(clock, 60_000),
    giveBackGlobals: lendGlobals(clock, random),
    page(name: string) {
      const process = new SimProcess(clock, name)
      const client = new PageClient(browser.attachOf(process, () => {}), 'wss://relay.simulated', { persist: false })
      client.on('error', () => {})
      return { client, process }
    },
  }
}

let device: ReturnType<typeof createDevice>
beforeEach(() => {
  device = createDevice()
})
afterEach(() => {
  device.giveBackGlobals()
  expect(device.bugs).toEqual([])
})

test('a consumer whose page stands still before the engine has come to it gets nothing until the page runs again', async () => {
  const { steps, disk, browser } = device
  const frozen = device.page('frozen')
  const well = device.page('well')
  const got: string[] = []
  const consume = ({ client, process }: typeof frozen) => {
    const consumer = client.topic('notes', { codec: text, home: 'device' }).consume({ group: 'till' })
    void consumer.run((message) => void got.push(`${process.name} ${message.value}`))
    return consumer
  }
  const consumers = [consume(frozen), consume(well)]
  await steps.until(Promise.all(consumers.map(({ subscribed }) => subscribed)))
  // The next engine takes its time to open what it keeps for the relay; meanwhile it is told everything by its pages.
  Object.assign(disk.slot('outbox').faults, { readLatencyMs: [300, 300] })
  browser.kill()
  await steps.pass(30)
  for (let tries = 0; browser.seatOf(frozen.process)?.line === undefined; tries++) {
    expect(tries).toBeLessThan(5_000)
    await steps.pass(0.2)
  }
  browser.seatOf(frozen.process)?.line?.page.post({ kind: 'pace', pace: 'frozen' })
  frozen.process.freeze()
  const topic = well.client.topic('notes', { codec: text, home: 'device' })
  for (let index = 0; index < 20; index++) await steps.until(topic.send(String(index)))
  await steps.pass(2_000)
  expect(got).toEqual(Array.from({ length: 20 }, (_, index) => `well ${index}`))
  frozen.process.thaw()
  browser.seatOf(frozen.process)?.line?.page.post({ kind: 'pace', pace: 'running' })
  await steps.pass(1_000)
  // Members take turns.
  for (let index = 0; index < 20; index++) await steps.until(topic.send(`later ${index}`))
  await steps.pass(2_000)
  expect(got).toHaveLength(40)
  expect(got.filter((one) => one.startsWith('frozen later'))).not.toEqual([])
})

test('an engine that ends while it opens what it keeps for the relay leaves no connection behind', async () => {
  const { clock, disk, steps, network, trace } = device
  const [worker, page] = [new SimProcess(clock, 'worker'), new SimProcess(clock, 'page')]
  network.listen({ process: new SimProcess(clock, 'relay'), accept: () => ({ message() {}, closed() {} }) })
  const line = new SimLine({ clock, trace, random: createSimRandom(2), latency: { lineMs: [0, 0] }, page, engine: worker })
  const stores = await steps.until(disk.open(worker, () => {}))
  Object.assign(disk.slot('outbox').faults, { readLatencyMs: [300, 300] })
  const engine = await steps.until(openEngine({
    stores, clock: worker, random: createSimRandom(3), log: silentLog, dial: () => network.diallerOf(worker), failed: () => {},
  }))
  engine.accept(line.engine, 'tab')
  const settings = { relayUrl: 'wss://relay.simulated', hasAuth: false, clientName: '', persisted: false, storage: {} }
  void wrap<TabApi>(endpointOf(line.page)).configure(settings)
  await steps.pass(100)
  await steps.until(engine.close(new PocketError('ENGINE_LOST', 'another takes its place')))
  await steps.pass(5_000)
  expect(network.links.size).toBe(0)
})

test('a power cut takes the last of the relaxed commits, and none that a strict one followed', async () => {
  const { clock, disk, steps } = device
  const process = new SimProcess(clock, 'engine')
  const { device: store } = await steps.until(disk.open(process, () => {}))
  const commit = (number: number, isRelaxed: boolean) => steps.until(new Promise((resolve) => {
    store.commit([{ key: Uint8Array.of(1, number), value: Uint8Array.of(number) }], resolve, { isRelaxed })
  }))
  await commit(1, true)
  await commit(2, false)
  for (let number = 3; number < 30; number++) await commit(number, true)
  process.kill()
  disk.powerCut()
  await steps.pass(10)
  const left = disk.slot('device').store.peek({ from: Uint8Array.of(1), to: Uint8Array.of(2) }).map(({ value }) => value[0])
  expect(left).toEqual(Array.from({ length: left.length }, (_, index) => index + 1))
  expect(left.length).toBeGreaterThanOrEqual(2)
  expect(left.length).toBeLessThan(29)
})

test('an engine that was robbed writes nothing more', async () => {
  const { clock, disk, steps } = device
  const lost: string[] = []
  const [former, latter] = [new SimProcess(clock, 'former'), new SimProcess(clock, 'latter')]
  const before = await steps.until(disk.open(former, ({ code }) => lost.push(code)))
  const after = await steps.until(disk.open(latter, ({ code }) => lost.push(code)))
  const outcomeOf = (stores: typeof before) => steps.until(new Promise((resolve) => {
    stores.outbox.commit([{ key: Uint8Array.of(1), value: Uint8Array.of(1) }], resolve)
  }))
  expect(await outcomeOf(before)).toMatchObject({ kind: 'not-written', reason: 'error' })
  expect(await outcomeOf(after)).toEqual({ kind: 'durable' })
  expect(lost).toEqual(['ENGINE_LOST'])
})
