// Sending a stored message once more: a new message with the same content, to its topic or another.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { bytes, type Client, requestProperties } from '../../core/index.ts'
import { Button, Field, Notice } from '../shared/controls.tsx'
import { textsOf } from '../shared/language.ts'
import { useForm } from './form.ts'
import type { StoredMessage } from './message-file.ts'
import { note } from './notes.tsx'
import { hrefOf } from './route.ts'
import { TopicField } from './topic-field.tsx'

const en = {
  lead: 'Makes a new message with the same body, tag, keys and properties, delivered at once to every group of the topic.',
  to: 'To the topic', messageGroup: 'Message group', messageGroupHint: 'Needed in a FIFO topic, none in the others.',
  go: 'Send', cancel: 'Cancel', sent: (topic: string) => `Sent to ${topic}`, show: 'Show the new one',
}
const zh: typeof en = {
  lead: '以相同的消息体、标签、键和属性生成一条新消息，立即投递给该主题的所有消费组。',
  to: '目标主题', messageGroup: '消息组', messageGroupHint: 'FIFO 主题必填，其他主题留空。',
  go: '发送', cancel: '取消', sent: (topic) => `已发送到 ${topic}`, show: '查看新消息',
}

/** What the relay says of a dead letter and of a half message given up, as the new one is neither. */
const relayPrefixes = ['DLQ_ORIGIN_', 'TRANS_ORIGIN_'] as const
/** Also of those; of a reply that its asker has or gave up; and the trace context, which would make two lives one. */
const onceProperties: readonly string[] = [
  'DLQ_ATTEMPTS', 'DLQ_RESENT_ID', 'TRANS_ID', 'TRANS_PRODUCER_GROUP', 'TRANS_CHECKS', 'TRANS_PREPARED_MS', 'traceparent',
  ...Object.values(requestProperties),
]

export interface ResendFormProps {
  readonly message: StoredMessage
  readonly client: Client
  readonly close: () => void
}

export function ResendForm({ message, client, close }: ResendFormProps): JSX.Element {
  const t = textsOf(en, zh)
  const form = useForm(originOf(message))
  const [sent, setSent] = useState<{ readonly topic: string; readonly messageId: string }>()

  const send = form.submit(async () => {
    setSent(undefined)
    const topic = form.values.topic.trim()
    const messageGroup = form.values.messageGroup.trim()
    const { tag, keys } = message
    const ttlMs = message.ttlMs ?? originNumberOf(message, 'TTL_MS')
    // Asked first: a slip of the hand makes no topic.
    const { messageType } = await client.admin.describeTopic(topic)
    const priority = messageType === 'PRIORITY' ? message.priority ?? originNumberOf(message, 'PRIORITY') : undefined
    const properties = new Map([...message.properties].filter(([name]) => isKept(name)))
    const { messageId } = await client.topic(topic, { codec: bytes }).send(message.body, {
      keys, properties,
      ...(tag === undefined ? {} : { tag }),
      ...(messageGroup === '' ? {} : { messageGroup }),
      ...(priority === undefined ? {} : { priority }),
      ...(ttlMs === undefined ? {} : { ttl: ttlMs }),
    })
    setSent({ topic, messageId })
    note(t.sent(topic))
  })

  return (
    <form class="stack sunken" onSubmit={send} data-testid="resend-form">
      <p class="hint">{t.lead}</p>
      <div class="fields">
        <TopicField admin={client.admin} label={t.to} {...form.field('topic')} />
        <Field label={t.messageGroup} hint={t.messageGroupHint} {...form.field('messageGroup')} />
      </div>
      <Notice>{form.failure}</Notice>
      <div class="actions">
        <Button type="submit" kind="primary" disabled={form.isBusy} testId="resend-go">{t.go}</Button>
        <Button kind="quiet" onClick={close}>{t.cancel}</Button>
        {sent !== undefined && (
          <p role="status" data-testid="resent">
            {t.sent(sent.topic)}: <a href={hrefOf('messages', undefined, { id: sent.messageId })}>{t.show}</a>
          </p>
        )}
      </div>
    </form>
  )
}

function isKept(name: string): boolean {
  return !onceProperties.includes(name) && !relayPrefixes.some((prefix) => name.startsWith(prefix))
}

/** Where it came from, where it is in a topic of the relay's own; nobody else may send to those. */
function originOf(message: StoredMessage): { topic: string; messageGroup: string } {
  const topic = originPropertyOf(message, 'TOPIC')
  if (topic === undefined) return { topic: message.topic, messageGroup: message.messageGroup ?? '' }
  return { topic, messageGroup: originPropertyOf(message, 'MESSAGE_GROUP') ?? '' }
}

function originPropertyOf({ properties }: StoredMessage, name: string): string | undefined {
  return properties.get(`DLQ_ORIGIN_${name}`) ?? properties.get(`TRANS_ORIGIN_${name}`)
}

function originNumberOf(message: StoredMessage, name: string): number | undefined {
  const text = originPropertyOf(message, name)
  return text === undefined ? undefined : Number(text)
}
