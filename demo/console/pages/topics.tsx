// All topics, searched and paged by the relay, and the making of one.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Client, ListedTopic } from '../../../core/index.ts'
import { Badge, Button, Field, Notice, Panel } from '../../shared/controls.tsx'
import { formatBytes, formatCount, formatDuration, textsOf } from '../../shared/language.ts'
import { useForm } from '../form.ts'
import { note } from '../notes.tsx'
import { PageHead, type PageProps } from '../page.tsx'
import { goTo, hrefOf } from '../route.ts'
import { type Column, Listing } from '../table.tsx'
import { texts } from '../texts.ts'
import { ChangeableFields, FixedFields, newTopicTexts, settingsOf, type TopicField } from './topic-form.tsx'

const en = {
  create: 'Create a topic', name: 'Name', nameHint: 'Letters, digits, _ - % and |; 1 to 127 characters.', go: 'Create',
  cancel: 'Cancel', created: (topic: string) => `${topic} is there.`,
  search: 'Search by name', list: 'Topics', empty: 'There are no topics yet: create one, or send to one.',
  topic: 'topic', type: 'type', queues: 'queues', messages: 'messages', delayed: 'delayed', retention: 'retention',
  system: 'system', forever: 'for ever',
}
const zh: typeof en = {
  create: '创建主题', name: '名称', nameHint: '字母、数字、_ - % 和 |；1 到 127 个字符。', go: '创建', cancel: '取消',
  created: (topic) => `${topic} 已创建。`,
  search: '按名称搜索', list: '主题', empty: '还没有主题：创建一个，或向一个主题发送消息。',
  topic: '主题', type: '类型', queues: '队列', messages: '消息', delayed: '延时', retention: '保留', system: '系统',
  forever: '永久',
}

export function TopicsPage({ client, pulse }: PageProps): JSX.Element {
  const t = textsOf(en, zh)
  const [isCreating, setCreating] = useState(false)
  const totalCount = pulse.beat.value?.info.figures.get('topics')
  return (
    <>
      <PageHead
        title={texts().pages.topics}
        actions={<Button pressed={isCreating} onClick={() => setCreating(!isCreating)} testId="create">{t.create}</Button>}
      />
      {isCreating && <CreateForm client={client} close={() => setCreating(false)} />}
      <Listing
        label={t.list} testId="topics" searchLabel={t.search} empty={t.empty} columns={columns()} nameOf={({ topic }) => topic}
        load={(page) => client.admin.listTopics(page)} {...(totalCount === undefined ? {} : { totalCount })}
      />
    </>
  )
}

/** Made by the relay itself: dead letters, traces. */
export function isSystemTopic(topic: string): boolean {
  return topic.startsWith('%')
}

function columns(): Column<ListedTopic>[] {
  const t = textsOf(en, zh)
  return [
    {
      title: t.topic,
      cell: ({ topic }) => (
        <>
          <a href={hrefOf('topics', topic)}>{topic}</a> {isSystemTopic(topic) && <Badge>{t.system}</Badge>}
        </>
      ),
    },
    { title: t.type, cell: ({ messageType }) => messageType, isMinor: true },
    { title: t.queues, cell: ({ queueCount }) => formatCount(queueCount), isNumber: true, isMinor: true },
    { title: t.messages, cell: ({ messageCount }) => formatCount(messageCount), isNumber: true },
    { title: t.delayed, cell: ({ delayedCount }) => formatCount(delayedCount), isNumber: true, isMinor: true },
    {
      title: t.retention, isNumber: true, isMinor: true,
      cell: ({ retentionMs, retentionBytes }) => {
        const age = retentionMs === 0 ? t.forever : formatDuration(retentionMs)
        return retentionBytes === 0 ? age : `${age}, ${formatBytes(retentionBytes)}`
      },
    },
  ]
}

function CreateForm({ client, close }: { client: Client; close: () => void }): JSX.Element {
  const t = textsOf(en, zh)
  const form = useForm<TopicField | 'topic'>({ topic: '', ...newTopicTexts })
  const create = form.submit(async () => {
    const { topic, ...settings } = form.values
    await client.admin.createTopic(topic.trim(), settingsOf(settings))
    note(t.created(topic.trim()))
    goTo(hrefOf('topics', topic.trim()))
  })
  return (
    <Panel title={t.create}>
      <form class="stack" onSubmit={create} data-testid="create-form">
        <div class="fields">
          <Field label={t.name} hint={t.nameHint} {...form.field('topic')} />
          <FixedFields form={form} />
          <ChangeableFields form={form} />
        </div>
        <Notice>{form.failure}</Notice>
        <div class="actions">
          <Button type="submit" kind="primary" disabled={form.isBusy} testId="create-go">{t.go}</Button>
          <Button onClick={close}>{t.cancel}</Button>
        </div>
      </form>
    </Panel>
  )
}
