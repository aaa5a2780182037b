// The hooks of pocketmq/react, rendered by React itself into a page, over a client of that page with its own engine.

import { createElement, StrictMode } from 'react'
import { createRoot, type Root } from 'react-dom/client'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { connect, type WebClient, type WebMessage, type WebTopic } from '../../web-client/index.ts'
import { type MessagesOptions, type MessagesState, useMessages, useStatus } from '../../web-client/react.ts'

let client: WebClient
let root: Root
let place: HTMLElement

beforeEach(async () => {
  // The engine tells the console of its beginning and end.
  vi.spyOn(console, 'debug').mockImplementation(() => {})
  client = await connect({ name: `react-${crypto.randomUUID()}`, host: 'inline' })
  place = document.body.appendChild(document.createElement('div'))
  root = createRoot(place)
})

afterEach(async () => {
  root.unmount()
  place.remove()
  await client.close()
})

function shows(text: string): Promise<void> {
  return vi.waitFor(() => expect(place.textContent).toBe(text), { timeout: 10_000 })
}

interface ListProps {
  readonly topic: WebTopic<string>
  readonly options: MessagesOptions
  readonly rendered?: (state: MessagesState<string>) => void
}

function List({ topic, options, rendered }: ListProps): string {
  const state = useMessages(topic, options)
  rendered?.(state)
  const code = (state.error as { readonly code?: string } | undefined)?.code
  return state.messages.map((message) => message.value).join(' ') + (code === undefined ? '' : ` (${code})`)
}

interface Watch {
  readonly topic: WebTopic<string>
  opened: number
  closed: number
}

/** A topic that counts the consumers made of it, and those of them that were closed. */
function watched(topic: WebTopic<string>): Watch {
  const watch: Watch = { topic, opened: 0, closed: 0 }
  const consume = topic.consume.bind(topic)
  topic.consume = (options) => {
    watch.opened++
    const consumer = consume(options)
    const close = consumer.close.bind(consumer)
    let closing: Promise<void> | undefined
    consumer.close = () => {
      if (closing === undefined) watch.closed++
      return closing ??= close()
    }
    return consumer
  }
  return watch
}

const options: MessagesOptions = { group: 'screen', from: 'earliest' }

describe('useStatus', () => {
  test('renders where things stand, and again when that changes', async () => {
    const Status = (): string => {
      const { engine, host } = useStatus(client)
      return `${engine} ${host}`
    }
    root.render(createElement(Status))
    await shows('running inline')
    await client.close()
    await shows('ended inline')
  })
})

describe('useMessages', () => {
  test('renders what was sent and what is being sent, in order', async () => {
    const topic = client.topic<string>('lines')
    await topic.send('one')
    root.render(createElement(List, { topic, options }))
    await shows('one')
    await topic.send('two')
    await topic.send('three')
    await shows('one two three')
  })

  test('keeps the newest', async () => {
    const topic = client.topic<string>('lines')
    for (const line of ['one', 'two', 'three']) await topic.send(line)
    root.render(createElement(List, { topic, options: { ...options, keep: 2 } }))
    await shows('two three')
    await topic.send('four')
    await shows('three four')
  })

  test('makes one consumer for many renders, though the topic is another object in each', async () => {
    const [first, second] = [watched(client.topic<string>('lines')), watched(client.topic<string>('lines'))]
    await first.topic.send('one')
    root.render(createElement(List, { topic: first.topic, options }))
    await shows('one')
    root.render(createElement(List, { topic: second.topic, options: { ...options } }))
    await second.topic.send('two')
    await shows('one two')
    expect([first.opened, first.closed, second.opened]).toEqual([1, 0, 0])
  })

  test('begins anew, with an empty list, when topic, group or filter change', async () => {
    const [lines, others] = [watched(client.topic<string>('lines')), watched(client.topic<string>('others'))]
    await lines.topic.send('one', { tag: 'a' })
    await lines.topic.send('two', { tag: 'b' })
    await others.topic.send('other')
    root.render(createElement(List, { topic: lines.topic, options }))
    await shows('one two')
    root.render(createElement(List, { topic: others.topic, options }))
    await shows('other')
    expect([lines.opened, lines.closed]).toEqual([1, 1])
    root.render(createElement(List, { topic: lines.topic, options: { ...options, group: 'filtered', filter: 'b' } }))
    await shows('two')
  })

  test('closes its consumer when the component goes', async () => {
    const watch = watched(client.topic<string>('lines'))
    await watch.topic.send('one')
    root.render(createElement(List, { topic: watch.topic, options }))
    await shows('one')
    expect([watch.opened, watch.closed]).toEqual([1, 0])
    root.render(null)
    await shows('')
    expect([watch.opened, watch.closed]).toEqual([1, 1])
  })

  test('mounted twice, as StrictMode does, has one consumer in the end, and each message once', async () => {
    const watch = watched(client.topic<string>('lines'))
    await watch.topic.send('one')
    root.render(createElement(StrictMode, null, createElement(List, { topic: watch.topic, options })))
    await shows('one')
    await watch.topic.send('two')
    await shows('one two')
    expect([watch.opened, watch.closed]).toEqual([2, 1])
  })

  test('acks CLUSTERING messages once they are rendered, so that no other member gets them', async () => {
    const topic = client.topic<string>('jobs')
    const seen: (readonly WebMessage<string>[])[] = []
    await topic.send('one')
    const clustering: MessagesOptions = { group: 'desk', from: 'earliest', mode: 'CLUSTERING' }
    root.render(createElement(List, { topic, options: clustering, rendered: ({ messages }) => seen.push(messages) }))
    await shows('one')
    await vi.waitFor(async () => {
      const { queues } = await client.admin.describeGroup('desk')
      expect(queues.map(({ ackFloor, maxOffset }) => maxOffset - ackFloor)).toEqual(queues.map(() => 0))
      expect(queues.some(({ maxOffset }) => maxOffset === 1)).toBe(true)
    })
    expect(seen.at(-1)?.[0]?.attempt).toBe(1)
  })

  test('gives what ended the consumer, and what it was refused for', async () => {
    const topic = client.topic<string>('lines')
    root.render(createElement(List, { topic, options: { group: 'not a name!' } }))
    await shows(' (BAD_NAME)')
  })
})
