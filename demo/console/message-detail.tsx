// One message as it is stored: where and when, what goes with it, its body, and the ways on from it.

import { type ComponentChildren, Fragment, type JSX } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { Client } from '../../core/index.ts'
import { Button, Panel } from '../shared/controls.tsx'
import { formatCount, formatDuration, formatMoment, textsOf } from '../shared/language.ts'
import { BodyView } from './body-view.tsx'
import type { StoredMessage } from './message-file.ts'
import { ResendForm } from './resend-form.tsx'
import { hrefOf } from './route.ts'

const en = {
  title: 'Message', id: 'id', topic: 'topic', place: 'queue and offset', tag: 'tag', keys: 'keys', group: 'message group',
  born: 'made', stored: 'stored', due: 'due', priority: 'priority', ttl: 'time to live', properties: 'Properties',
  trace: 'Its trace', close: 'Close', resend: 'Send again …',
}
const zh: typeof en = {
  title: '消息', id: 'ID', topic: '主题', place: '队列与位点', tag: '标签', keys: '键', group: '消息组',
  born: '创建', stored: '存储', due: '到期', priority: '优先级', ttl: '存活时间', properties: '属性',
  trace: '查看轨迹', close: '关闭', resend: '重新发送 …',
}

export interface MessageDetailProps {
  readonly message: StoredMessage
  readonly client: Client
  readonly onClose?: () => void
  /** What else can be done with it. */
  readonly actions?: ComponentChildren
  /** It can't be sent again from here. */
  readonly isNotSendable?: boolean
}

export function MessageDetail({ message, client, onClose, actions, isNotSendable = false }: MessageDetailProps): JSX.Element {
  const t = textsOf(en, zh)
  const [isSending, setSending] = useState(false)
  const place = useRef<HTMLDivElement>(null)
  const { messageId } = message
  useEffect(() => {
    const before = document.activeElement
    const shown = place.current
    setSending(false)
    // It appears below what was clicked, maybe out of sight.
    shown?.focus({ preventScroll: true })
    shown?.scrollIntoView({ block: 'nearest' })
    return () => {
      // Closed from within: back to the row that opened it.
      const isLeft = shown?.contains(document.activeElement) === true
      if (isLeft && before instanceof HTMLElement && before.isConnected && !shown.contains(before)) before.focus()
    }
  }, [messageId])
  const body = useMemo(() => message.body, [message])
  return (
    <div ref={place} tabIndex={-1} class="message-detail" data-testid="message-detail">
      <Panel
        title={t.title} actions={(
          <div class="actions">
            <a class="button" href={hrefOf('trace', undefined, { id: messageId })}>{t.trace}</a>
            {!isNotSendable && (
              <Button onClick={() => setSending(!isSending)} pressed={isSending} testId="resend">{t.resend}</Button>
            )}
            {actions}
            {onClose !== undefined && <Button kind="quiet" onClick={onClose} testId="close-message">{t.close}</Button>}
          </div>
        )}
      >
        {isSending && <ResendForm key={messageId} message={message} client={client} close={() => setSending(false)} />}
        <Facts facts={factsOf(message, t)} />
        {message.properties.size > 0 && (
          <>
            <h4 class="facts-head">{t.properties}</h4>
            <Facts facts={[...message.properties].sort(([left], [right]) => (left < right ? -1 : 1))} />
          </>
        )}
        <BodyView key={messageId} body={body} name={messageId} />
      </Panel>
    </div>
  )
}

function factsOf(message: StoredMessage, t: typeof en): readonly (readonly [string, ComponentChildren])[] {
  const { messageId, topic, queueId, offset, tag, keys, messageGroup, bornMs, storedMs, deliverMs, priority, ttlMs } = message
  // It is in no queue before.
  const isWaiting = deliverMs !== undefined && deliverMs > Date.now()
  return [
    [t.id, <code key="id">{messageId}</code>],
    [t.topic, <a key="topic" href={hrefOf('topics', topic)}>{topic}</a>],
    [t.place, isWaiting ? undefined : `${queueId} @ ${formatCount(offset)}`],
    [t.tag, tag],
    [t.keys, keys.length === 0 ? undefined : keys.map((key, index) => (
      <Fragment key={key}>{index > 0 && ', '}<a href={hrefOf('messages', undefined, { topic, key })}>{key}</a></Fragment>
    ))],
    [t.group, messageGroup],
    [t.born, <Moment key="born" timeMs={bornMs} />],
    [t.stored, isWaiting ? undefined : <Moment key="stored" timeMs={storedMs} />],
    [t.due, deliverMs === undefined ? undefined : <Moment timeMs={deliverMs} />],
    [t.priority, priority],
    [t.ttl, ttlMs === undefined ? undefined : formatDuration(ttlMs)],
  ]
}

/** What is known, name by name; what is undefined is left out. */
export function Facts({ facts }: { facts: readonly (readonly [string, ComponentChildren])[] }): JSX.Element {
  return (
    <dl class="facts">
      {facts.filter(([, value]) => value !== undefined && value !== null).map(([name, value]) => (
        <Fragment key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </Fragment>
      ))}
    </dl>
  )
}

function Moment({ timeMs }: { timeMs: number }): JSX.Element {
  const iso = new Date(timeMs).toISOString()
  return <time dateTime={iso} title={iso}>{formatMoment(timeMs)}</time>
}
