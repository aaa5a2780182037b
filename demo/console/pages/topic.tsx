// One topic: how it is, its queues, who reads it; changing it, sending to it, deleting it.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Client, TopicDetail } from '../../../core/index.ts'
import { Button, Notice, Panel } from '../../shared/controls.tsx'
import { formatBytes, formatCount, formatDuration, textsOf } from '../../shared/language.ts'
import { useAnswer } from '../answer.ts'
import { confirm } from '../confirm.tsx'
import { textOf, useForm } from '../form.ts'
import { Facts } from '../message-detail.tsx'
import { note } from '../notes.tsx'
import { type DetailProps, PageHead } from '../page.tsx'
import { goTo, hrefOf } from '../route.ts'
import { Table } from '../table.tsx'
import { texts } from '../texts.ts'
import { SendForm } from './send-form.tsx'
import { confirmFor } from './confirm-for.ts'
import { ChangeableFields, checkTyped, isTighter, settingsOf, textsOfTopic } from './topic-form.tsx'

const en = {
  messages: 'Its messages', delayed: 'Delayed', send: 'Send a message', configure: 'Change', delete: 'Delete',
  deleteTitle: 'Delete the topic?',
  tighterTitle: 'Keep less?',
  tighterLead: (topic: string) => `Messages of ${topic} that the new bounds do not cover are gone for good.`,
  deleteLead: 'Its messages and every group’s progress on it are gone for good; its consumers end.',
  deleted: (topic: string) => `${topic} is deleted.`, changed: 'Changed.', save: 'Save', cancel: 'Cancel',
  how: 'Settings', type: 'type', cleanup: 'cleanup', retention: 'retention', size: 'size at most', ttl: 'time to live',
  trace: 'share traced', durability: 'durability', delayedCount: 'delayed messages', forever: 'for ever', unbounded: 'no bound',
  queues: 'Queues', queue: 'queue', first: 'first kept', next: 'next offset', count: 'messages', bytes: 'size', epoch: 'epoch',
  groups: 'Groups that read it', noGroups: 'No group has progress on it.',
}
const zh: typeof en = {
  messages: '查看消息', delayed: '延时', send: '发送消息', configure: '修改', delete: '删除',
  tighterTitle: '缩小保留范围？', tighterLead: (topic) => `${topic} 中超出新范围的消息将永久消失。`,
  deleteTitle: '删除该主题？', deleteLead: '其消息以及所有消费组在其上的进度将永久消失；其消费者会结束。',
  deleted: (topic) => `${topic} 已删除。`, changed: '已修改。', save: '保存', cancel: '取消',
  how: '设置', type: '类型', cleanup: '清理策略', retention: '保留时间', size: '最大容量', ttl: '存活时间',
  trace: '跟踪比例', durability: '持久性', delayedCount: '延时消息', forever: '永久', unbounded: '不限',
  queues: '队列', queue: '队列', first: '最早位点', next: '下一位点', count: '消息', bytes: '大小', epoch: '纪元',
  groups: '消费它的组', noGroups: '没有消费组在其上有进度。',
}

export function TopicPage({ client, name }: DetailProps): JSX.Element {
  const t = textsOf(en, zh)
  const [open, setOpen] = useState<'send' | 'configure'>()
  const answer = useAnswer(() => client.admin.describeTopic(name), [client, name], { everyMs: 2_000 })
  const topic = answer.value
  // Those of the relay itself, as %DLQ%till, nobody else sends to.
  const isRelays = name.startsWith('%')
  const toggle = (which: 'send' | 'configure'): void => setOpen(open === which ? undefined : which)

  async function remove(): Promise<void> {
    const isDone = await confirm({
      title: t.deleteTitle, lead: t.deleteLead, word: name, action: t.delete, act: () => client.admin.deleteTopic(name),
    })
    if (!isDone) return
    note(t.deleted(name))
    goTo(hrefOf('topics'))
  }

  return (
    <>
      <PageHead
        title={name} parent={{ href: hrefOf('topics'), text: texts().pages.topics }}
        actions={topic !== undefined && (
          <>
            <a class="button" href={hrefOf('messages', undefined, { topic: name })}>{t.messages}</a>
            <a class="button" href={hrefOf('delayed', undefined, { topic: name })}>{t.delayed}</a>
            {!isRelays && (
              <Button pressed={open === 'send'} onClick={() => toggle('send')} testId="send">{t.send}</Button>
            )}
            <Button pressed={open === 'configure'} onClick={() => toggle('configure')} testId="configure">{t.configure}</Button>
            {!isRelays && <Button kind="danger" onClick={() => void remove()} testId="delete">{t.delete}</Button>}
          </>
        )}
      />
      <Notice>{answer.error === undefined ? undefined : textOf(answer.error)}</Notice>
      {answer.isWaiting && <p class="hint" role="status">{texts().loading}</p>}
      {topic !== undefined && (
        <>
          {open === 'send' && (
            <Panel title={t.send}><SendForm client={client} topic={topic} sent={() => void answer.refresh()} /></Panel>
          )}
          {open === 'configure' && (
            <Panel title={t.configure}>
              <ConfigureForm
                client={client} topic={topic} close={() => {
                  setOpen(undefined)
                  void answer.refresh()
                }}
              />
            </Panel>
          )}
          <HowItIs topic={topic} />
        </>
      )}
    </>
  )
}

function HowItIs({ topic }: { topic: TopicDetail }): JSX.Element {
  const t = textsOf(en, zh)
  const { messageType, cleanupPolicy, retentionMs, retentionBytes, ttlMs, trace, durability } = topic
  const { delayedCount, queues, groups } = topic
  return (
    <>
      <div class="columns">
        <Panel title={t.how}>
          <Facts
            facts={[
              [t.type, messageType],
              [t.cleanup, cleanupPolicy],
              [t.retention, retentionMs === 0 ? t.forever : formatDuration(retentionMs)],
              [t.size, retentionBytes === 0 ? t.unbounded : formatBytes(retentionBytes)],
              [t.ttl, ttlMs === 0 ? t.forever : formatDuration(ttlMs)],
              [t.trace, String(trace)],
              [t.durability, durability],
              [t.delayedCount, formatCount(delayedCount)],
            ]}
          />
        </Panel>
        <Panel title={t.groups}>
          {groups.length === 0 ? <p class="hint">{t.noGroups}</p> : (
            <ul class="list" data-testid="topic-groups">
              {groups.map((group) => <li key={group}><a href={hrefOf('groups', group)}>{group}</a></li>)}
            </ul>
          )}
        </Panel>
      </div>
      <Panel title={t.queues}>
        <Table
          label={t.queues} testId="queues" rows={queues} keyOf={({ queueId }) => queueId} empty={texts().none}
          columns={[
            { title: t.queue, cell: ({ queueId }) => queueId, isNumber: true },
            { title: t.count, cell: ({ minOffset, maxOffset }) => formatCount(maxOffset - minOffset), isNumber: true },
            { title: t.first, cell: ({ minOffset }) => formatCount(minOffset), isNumber: true },
            { title: t.next, cell: ({ maxOffset }) => formatCount(maxOffset), isNumber: true },
            { title: t.bytes, cell: ({ storedBytes }) => formatBytes(storedBytes), isNumber: true, isMinor: true },
            { title: t.epoch, cell: ({ epoch }) => epoch, isNumber: true, isMinor: true },
          ]}
        />
      </Panel>
    </>
  )
}

function ConfigureForm({ client, topic, close }: { client: Client; topic: TopicDetail; close: () => void }): JSX.Element {
  const t = textsOf(en, zh)
  const form = useForm(textsOfTopic(topic))
  const save = form.submit(async () => {
    checkTyped(form.values)
    const settings = settingsOf(form.values)
    const act = () => client.admin.configureTopic(topic.topic, settings)
    if (isTighter(settings, topic)) {
      const isDone = await confirmFor({
        title: t.tighterTitle, lead: t.tighterLead(topic.topic), word: topic.topic, action: t.save, act,
      })
      if (!isDone) return
    } else await act()
    note(t.changed)
    close()
  })
  return (
    <form class="stack" onSubmit={save} data-testid="configure-form">
      <div class="fields"><ChangeableFields form={form} /></div>
      <Notice>{form.failure}</Notice>
      <div class="actions">
        <Button type="submit" kind="primary" disabled={form.isBusy} testId="configure-go">{t.save}</Button>
        <Button onClick={close}>{t.cancel}</Button>
      </div>
    </form>
  )
}
