// The door `pocketmq/react`: a page's client in React, as thin as it can be. The client itself is made outside, once, with
// `connect`; components follow its status and its messages.

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react'
import type { WebClient, WebConsumeOptions, WebMessage, WebStatus, WebTopic } from './page/web-api.ts'

/** Where things stand; the component renders anew when it changes. */
export function useStatus(client: WebClient): WebStatus {
  const subscribe = useCallback((changed: () => void) => client.subscribe(changed), [client])
  const read = (): WebStatus => client.getSnapshot()
  return useSyncExternalStore(subscribe, read, read)
}

export interface MessagesOptions extends Omit<WebConsumeOptions, 'signal'> {
  /** Messages kept for rendering, the newest. Default 100. */
  readonly keep?: number
}

export interface MessagesState<T> {
  /** The newest, oldest first. */
  readonly messages: readonly WebMessage<T>[]
  /** What ended the consumer. */
  readonly error: unknown
}

const nothing: MessagesState<never> = { messages: [], error: undefined }

/**
 * The newest messages of a topic, live: a BROADCASTING consumer unless `mode` says otherwise; CLUSTERING messages are acked
 * when they are rendered, so they are for showing, not for work that can fail. The consumer lives while the component does,
 * and is made anew, with an empty list, when group, mode, filter, or the topic's name or home change; the topic may be a new
 * object in every render. A component that changes to another client needs another `key`. Messages that come within one
 * frame cost one render, and a hidden page neither renders nor acks.
 */
export function useMessages<T>(topic: WebTopic<T>, options: MessagesOptions): MessagesState<T> {
  const { mode = 'BROADCASTING', group, filter } = options
  const [state, setState] = useState<MessagesState<T>>(nothing)
  // What else is in them is read when it is needed, and makes no new consumer.
  const latest = useRef({ topic, options })
  latest.current = { topic, options }
  const filterKey = JSON.stringify(filter ?? '*')
  useEffect(() => {
    const { keep: _, ...consumeOptions } = latest.current.options
    const keepCount = (): number => latest.current.options.keep ?? 100
    let fresh: WebMessage<T>[] = []
    let frame = 0
    let isOver = false
    let close = async (): Promise<void> => {}
    setState((before) => (before.messages.length === 0 && before.error === undefined ? before : nothing))

    const show = (): void => {
      frame = 0
      const shown = fresh
      fresh = []
      setState(({ messages, error }) => ({ messages: newest([...messages, ...shown], keepCount()), error }))
      // One that can't be acked comes again.
      if (mode === 'CLUSTERING') for (const message of shown) message.ack().catch(() => {})
    }
    const follow = async (): Promise<void> => {
      const consumer = latest.current.topic.consume({ ...consumeOptions, mode })
      close = () => consumer.close()
      for await (const message of consumer) {
        fresh.push(message)
        // Frames stop while the page is hidden; messages don't.
        if (mode === 'BROADCASTING' && fresh.length >= 2 * keepCount()) fresh = newest(fresh, keepCount())
        if (frame === 0) frame = requestAnimationFrame(show)
      }
    }
    follow().catch((error: unknown) => {
      if (!isOver) setState(({ messages }) => ({ messages, error }))
    })
    return () => {
      isOver = true
      cancelAnimationFrame(frame)
      void close()
    }
  }, [topic.name, topic.home, group, mode, filterKey])
  return state
}

function newest<T>(messages: readonly T[], count: number): T[] {
  return messages.slice(Math.max(messages.length - count, 0))
}
