// Pull consumers against a relay that answers pulls as the test says.

import { describe, expect, test } from 'vitest'
import type { Message, PullConsumer, PullOptions } from '../../../core/client/api.ts'
import { text } from '../../../core/client/codec.ts'
import { tagHashOf } from '../../../core/model/filter.ts'
import type { FrameFields } from '../../../core/protocol/frames.ts'
import type { ScriptedLine } from '../../support/scripted-relay.ts'
import { recordOf } from './records.ts'
import { ScriptedWorld, watch } from './scripted-world.ts'

interface OpenPull {
  readonly pull: FrameFields<'PULL'>
  readonly line: ScriptedLine
}

interface PullWorld {
  readonly world: ScriptedWorld
  readonly reader: PullConsumer<string>
  readonly iterator: AsyncIterator<readonly Message<string>[]>
  readonly open: OpenPull[]
}

async function pulling(options: Partial<PullOptions> = {}): Promise<PullWorld> {
  const open: OpenPull[] = []
  const world = await ScriptedWorld.connected({
    PULL: (pull, line) => {
      open.push({ pull, line })
    },
  })
  const reader = world.client.topic('orders', { codec: text }).pull({ queueId: 2, ...options })
  return { world, reader, iterator: reader[Symbol.asyncIterator](), open }
}

interface AnswerOptions {
  readonly from?: number
  readonly maxOffset?: number
  readonly epoch?: number
  readonly next?: number
  readonly records?: readonly Uint8Array[]
}

/** Answers the oldest open pull with a record of these bodies. */
function answer({ open }: PullWorld, bodies: readonly string[], options: AnswerOptions = {}): void {
  const { pull, line } = open.shift() as OpenPull
  const { from = pull.start.kind === 'position' ? pull.start.position.offset : 0, epoch = 1 } = options
  const { next = from + bodies.length, maxOffset = 1_000 } = options
  const records = options.records ?? (bodies.length === 0 ? [] : [recordOf(bodies, { baseOffset: from, epoch })])
  line.send('PULLED', {
    requestId: pull.requestId,
    from: { epoch, offset: from },
    next: { epoch, offset: next },
    minOffset: 0,
    maxOffset,
    records,
  })
}

const bodiesOf = (result: IteratorResult<readonly Message<string>[]> | undefined) =>
  result?.done === true ? 'done' : result?.value.map(({ value }) => value)

describe('pulling', () => {
  test('reads batch after batch, and asks for the next while the application has one', async () => {
    const context = await pulling()
    const { world, reader, iterator, open } = context
    const first = watch(iterator.next())
    await world.settle()
    expect(open[0]?.pull).toMatchObject({ topic: 'orders', queueId: 2, start: { kind: 'earliest' }, filter: '*' })
    expect(open[0]?.pull.waitMs).toBeGreaterThan(0)
    expect(reader.position).toBeUndefined()
    answer(context, ['a', 'b'])
    await world.settle()
    expect(bodiesOf(first.value)).toEqual(['a', 'b'])
    expect(first.value?.value?.[1]).toMatchObject({ queueId: 2, offset: 1, attempt: 0 })
    expect(reader.position).toEqual({ epoch: 1, offset: 2 })
    expect(open[0]?.pull.start).toEqual({ kind: 'position', position: { epoch: 1, offset: 2 } })
    answer(context, ['c'])
    await world.settle()
    expect(open).toEqual([])
    const second = watch(iterator.next())
    await world.settle()
    expect(bodiesOf(second.value)).toEqual(['c'])
    expect(open).toHaveLength(1)
  })

  test('several records of one answer are one batch', async () => {
    const context = await pulling()
    const { world, iterator } = context
    const got = watch(iterator.next())
    await world.settle()
    const records = [recordOf(['a']), recordOf(['b', 'c'], { baseOffset: 1 })]
    answer(context, ['a', 'b', 'c'], { records })
    await world.settle()
    expect(bodiesOf(got.value)).toEqual(['a', 'b', 'c'])
  })

  test('goes on asking while there is nothing', async () => {
    const context = await pulling()
    const { world, iterator, open } = context
    const got = watch(iterator.next())
    await world.settle()
    for (let round = 0; round < 3; round++) {
      answer(context, [])
      await world.settle()
      expect(open).toHaveLength(1)
    }
    answer(context, ['a'])
    await world.settle()
    expect(bodiesOf(got.value)).toEqual(['a'])
  })

  test('begins where it is told', async () => {
    const { world, reader, iterator, open } = await pulling({ from: { epoch: 4, offset: 9 }, filter: 'b||a' })
    watch(iterator.next())
    await world.settle()
    const start = { kind: 'position', position: { epoch: 4, offset: 9 } }
    expect(open[0]?.pull).toMatchObject({ start, filter: 'a || b' })
    expect(reader.position).toEqual({ epoch: 4, offset: 9 })
  })

  test('until the end stops at the max offset of its start', async () => {
    const context = await pulling({ untilEnd: true })
    const { world, iterator, open } = context
    const results = [watch(iterator.next()), watch(iterator.next()), watch(iterator.next())]
    await world.settle()
    expect(open[0]?.pull.waitMs).toBe(0)
    answer(context, ['a', 'b'], { maxOffset: 3 })
    await world.settle()
    answer(context, ['c', 'd'], { maxOffset: 9 })
    await world.settle()
    expect(results.map(({ value }) => bodiesOf(value))).toEqual([['a', 'b'], ['c'], 'done'])
    expect(open).toEqual([])
  })

  test('until the end of an empty queue is over at once', async () => {
    const context = await pulling({ untilEnd: true })
    const { world, iterator } = context
    const got = watch(iterator.next())
    await world.settle()
    answer(context, [], { maxOffset: 0 })
    await world.settle()
    expect(bodiesOf(got.value)).toBe('done')
  })

  test('leaves out what only has the same hash of a tag', async () => {
    const context = await pulling({ filter: 'paid' })
    const { world, iterator } = context
    const got = watch(iterator.next())
    await world.settle()
    const tagHashes = [tagHashOf('paid'), tagHashOf('paid')]
    const headers = [{ tag: 'x' }, { tag: 'paid' }]
    answer(context, ['a', 'b'], { records: [recordOf(['a', 'b'], { headers, tagHashes })] })
    await world.settle()
    expect(bodiesOf(got.value)).toEqual(['b'])
  })
})

describe('a gap', () => {
  test('is told with the batch that comes after it', async () => {
    const context = await pulling({ from: { epoch: 1, offset: 5 } })
    const { world, iterator } = context
    watch(iterator.next())
    await world.settle()
    answer(context, ['a'], { from: 20, epoch: 2 })
    await world.settle()
    expect(world.gaps).toEqual([{
      topic: 'orders', group: undefined, queueId: 2, expected: { epoch: 1, offset: 5 }, next: { epoch: 2, offset: 20 },
    }])
  })
})

describe('a lost connection', () => {
  test('costs nothing but time', async () => {
    const context = await pulling()
    const { world, iterator, open } = context
    const got = watch(iterator.next())
    await world.settle()
    open.shift()
    world.network.cut()
    await world.pass(1_000)
    answer(context, ['a'])
    await world.settle()
    expect(bodiesOf(got.value)).toEqual(['a'])
  })

  test('that lasts is waited out', async () => {
    const context = await pulling()
    const { world, iterator } = context
    const got = watch(iterator.next())
    world.network.isDown = true
    world.network.cut()
    await world.pass(200_000)
    expect(got.outcome).toBe('pending')
    world.network.isDown = false
    await world.pass(60_000)
    context.open.splice(0, context.open.length - 1)
    answer(context, ['a'])
    await world.settle()
    expect(bodiesOf(got.value)).toEqual(['a'])
  })
})

describe('the end', () => {
  test('by close ends who waits, and drops the pull', async () => {
    const { world, reader, iterator } = await pulling()
    const got = watch(iterator.next())
    await world.settle()
    await reader.close()
    await world.settle()
    expect(bodiesOf(got.value)).toBe('done')
    expect(bodiesOf(await iterator.next())).toBe('done')
    await world.until(world.client.close())
    expect(world.clock.nextTimerMs).toBeUndefined()
  })

  test('by breaking out of the loop', async () => {
    const context = await pulling()
    const { world, reader } = context
    const loop = async () => {
      for await (const messages of reader) return messages.length
      return 0
    }
    const got = watch(loop())
    await world.settle()
    answer(context, ['a', 'b'])
    await world.settle()
    expect(got.value).toBe(2)
  })

  test('by a refusal throws it', async () => {
    const { world, iterator, open } = await pulling()
    const got = watch(iterator.next())
    await world.settle()
    open[0]?.line.refuse(open[0].pull.requestId, 'QUEUE_NOT_FOUND')
    await world.settle()
    expect(got.outcome).toBe('QUEUE_NOT_FOUND')
    await expect(iterator.next()).rejects.toMatchObject({ code: 'QUEUE_NOT_FOUND' })
  })

  test('by the signal ends quietly', async () => {
    const abort = new AbortController()
    const { world, iterator } = await pulling({ signal: abort.signal })
    const got = watch(iterator.next())
    await world.settle()
    abort.abort()
    await world.settle()
    expect(bodiesOf(got.value)).toBe('done')
  })

  test.each<PullOptions>([
    { queueId: -1 },
    { queueId: 0, from: { epoch: 1, offset: -1 } },
    { queueId: 0, from: { epoch: 0.5, offset: 1 } },
  ])('%j is refused on the spot', async (options) => {
    const world = await ScriptedWorld.connected()
    expect(() => world.client.topic('orders').pull(options)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }))
  })
})
