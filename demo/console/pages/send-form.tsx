// A test message: what an application would say of it, and what became of it.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { type Client, text, type SendReceipt, type TopicDetail } from '../../../core/index.ts'
import { Button, Field, Notice } from '../../shared/controls.tsx'
import { formatMoment, textsOf } from '../../shared/language.ts'
import { useForm } from '../form.ts'
import { hrefOf } from '../route.ts'
import { countOf, durationOf, propertiesOf, wordsOf } from '../values.ts'

const en = {
  body: 'Body', tag: 'Tag', tagHint: 'One word to filter by.', keys: 'Keys', keysHint: 'Words to find it by, parted by commas.',
  messageGroup: 'Message group', messageGroupHint: 'Needed in a FIFO topic.', properties: 'Properties',
  propertiesHint: 'A line each: name=value.', delay: 'Delay', delayHint: 'Such as 30s or 2h.', priority: 'Priority',
  priorityHint: '0 to 9, higher first.', go: 'Send',
  stored: (queueId: number | undefined, offset: number | undefined) => `Stored in queue ${queueId} at offset ${offset}.`,
  due: (moment: string) => `Stored, due ${moment}.`, show: 'Show it', delayed: 'Delayed messages',
}
const zh: typeof en = {
  body: '消息体', tag: '标签', tagHint: '用于过滤的一个词。', keys: '键', keysHint: '用于查询的词，以逗号分隔。',
  messageGroup: '消息组', messageGroupHint: 'FIFO 主题必填。', properties: '属性',
  propertiesHint: '每行一个：名称=值。', delay: '延时', delayHint: '如 30s 或 2h。', priority: '优先级',
  priorityHint: '0 到 9，越大越先。', go: '发送',
  stored: (queueId, offset) => `已存入队列 ${queueId}，位点 ${offset}。`,
  due: (moment) => `已存储，${moment} 到期。`, show: '查看', delayed: '延时消息',
}

export function SendForm({ client, topic, sent }: { client: Client; topic: TopicDetail; sent: () => void }): JSX.Element {
  const t = textsOf(en, zh)
  const form = useForm({
    body: '{ "hello": "world" }', tag: '', keys: '', messageGroup: '', properties: '', delay: '', priority: '',
  })
  const [receipt, setReceipt] = useState<SendReceipt>()
  const send = form.submit(async () => {
    setReceipt(undefined)
    const { body, tag, keys, messageGroup, properties, delay, priority } = form.values
    const delayGiven = durationOf(delay, 'delay')
    const priorityGiven = countOf(priority, 'priority')
    setReceipt(await client.topic(topic.topic, { codec: text }).send(body, {
      keys: wordsOf(keys),
      properties: propertiesOf(properties),
      ...(tag.trim() === '' ? {} : { tag: tag.trim() }),
      ...(messageGroup.trim() === '' ? {} : { messageGroup: messageGroup.trim() }),
      ...(delayGiven === undefined ? {} : { delay: delayGiven }),
      ...(priorityGiven === undefined ? {} : { priority: priorityGiven }),
    }))
    sent()
  })
  return (
    <form class="stack" onSubmit={send} data-testid="send-form">
      <div class="fields">
        <div class="wide"><Field label={t.body} rowCount={4} {...form.field('body')} /></div>
        <Field label={t.tag} hint={t.tagHint} {...form.field('tag')} />
        <Field label={t.keys} hint={t.keysHint} {...form.field('keys')} />
        {(topic.messageType === 'FIFO' || form.field('messageGroup').error !== undefined) && (
          <Field label={t.messageGroup} hint={t.messageGroupHint} {...form.field('messageGroup')} />
        )}
        {topic.messageType === 'PRIORITY' && <Field label={t.priority} hint={t.priorityHint} {...form.field('priority')} />}
        <Field label={t.delay} hint={t.delayHint} {...form.field('delay')} />
        <Field label={t.properties} hint={t.propertiesHint} rowCount={2} {...form.field('properties')} />
      </div>
      <Notice>{form.failure}</Notice>
      <div class="actions">
        <Button type="submit" kind="primary" disabled={form.isBusy} testId="send-go">{t.go}</Button>
        {receipt !== undefined && <Receipt receipt={receipt} topic={topic.topic} />}
      </div>
    </form>
  )
}

function Receipt({ receipt, topic }: { receipt: SendReceipt; topic: string }): JSX.Element {
  const t = textsOf(en, zh)
  const { messageId, queueId, offset, deliverMs } = receipt
  return (
    <p role="status" class="grow" data-testid="receipt">
      {deliverMs === undefined
        ? <>{t.stored(queueId, offset)} <a href={hrefOf('messages', undefined, { id: messageId })}>{t.show}</a></>
        : <>{t.due(formatMoment(deliverMs))} <a href={hrefOf('delayed', undefined, { topic })}>{t.delayed}</a></>}
    </p>
  )
}
