// What is stored and not visible yet: delayed messages in the order they are due, and half messages of transactions.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Client, DelayedInfo } from '../../../core/index.ts'
import { Button, Field, Moment, Notice, Panel } from '../../shared/controls.tsx'
import { formatBytes, formatCount, formatSpan, textsOf } from '../../shared/language.ts'
import { useAnswer } from '../answer.ts'
import { confirm } from '../confirm.tsx'
import { textOf, useForm } from '../form.ts'
import { MessageDetail } from '../message-detail.tsx'
import { bodyPreview } from '../message-file.ts'
import { note } from '../notes.tsx'
import { PageHead, type PageProps } from '../page.tsx'
import { hrefOf, route, setQuery } from '../route.ts'
import { pageRowCount, Pager, Table } from '../table.tsx'
import { texts } from '../texts.ts'
import { TopicField } from '../topic-field.tsx'

const en = {
  lead: 'Stored, and delivered to nobody yet.',
  delayed: 'Delayed messages', topic: 'Topic', show: 'Show', due: 'due', left: 'time left', overdue: 'now', id: 'id',
  body: 'body',
  topicColumn: 'topic', none: 'No message waits to be due.', recall: 'Recall', recallLabel: (id: string) => `Recall ${id}`,
  recallTitle: 'Take the message back?',
  recallLead: (id: string) => `The delayed message ${id} is deleted; nobody will get it.`, recalled: 'The message is taken back.',
  halves: 'Half messages',
  halvesLead: 'Of transactions whose producer has said neither commit nor rollback. The relay asks living producers of the ' +
    'group, and rolls back in the end.',
  noHalves: 'No transaction is open.', transaction: 'transaction', producers: 'producer group', since: 'open for',
  checks: 'asked', messages: 'messages', bytes: 'size', topics: 'topics', group: 'Producer group',
}
const zh: typeof en = {
  lead: '已存储，但尚未投递给任何人。',
  delayed: '延时消息', topic: '主题', show: '查看', due: '到期', left: '剩余时间', overdue: '即将', id: 'ID', body: '消息体',
  topicColumn: '主题', none: '没有等待到期的消息。', recall: '撤回', recallLabel: (id) => `撤回 ${id}`,
  recallTitle: '撤回该消息？',
  recallLead: (id) => `延时消息 ${id} 将被删除，不会投递给任何人。`, recalled: '消息已撤回。',
  halves: '半消息',
  halvesLead: '生产者尚未提交或回滚的事务。中继会回查该组存活的生产者，最终回滚。',
  noHalves: '没有未决的事务。', transaction: '事务', producers: '生产者组', since: '已持续', checks: '回查次数',
  messages: '消息', bytes: '大小', topics: '主题', group: '生产者组',
}

export function DelayedPage({ client }: PageProps): JSX.Element {
  const t = textsOf(en, zh)
  return (
    <>
      <PageHead title={texts().pages.delayed} lead={t.lead} />
      <Panel title={t.delayed}><Delayed client={client} /></Panel>
      <Panel title={t.halves}><HalfMessages client={client} /></Panel>
    </>
  )
}

function Delayed({ client }: { client: Client }): JSX.Element {
  const t = textsOf(en, zh)
  const topic = route.value.query.get('topic') ?? ''
  const after = route.value.query.get('after') ?? ''
  const form = useForm({ topic })
  const [shown, show] = useState<DelayedInfo>()
  const answer = useAnswer(() => client.admin.listDelayed({
    max: pageRowCount + 1, ...(topic === '' ? {} : { topic }), ...(after === '' ? {} : { after }),
  }), [client, topic, after], { everyMs: 2_000 })
  const rows = answer.value?.slice(0, pageRowCount) ?? []
  const hasMore = (answer.value?.length ?? 0) > pageRowCount

  async function recall({ topic: from, recallHandle, message }: DelayedInfo): Promise<void> {
    const isDone = await confirm({
      title: t.recallTitle, lead: t.recallLead(message.messageId), word: from, action: t.recall,
      act: () => client.admin.recall(from, recallHandle),
    })
    if (isDone) note(t.recalled)
    await answer.refresh()
  }

  return (
    <>
      <form
        class="row" onSubmit={form.submit(async () => {
          const asked = form.values.topic.trim()
          // In the relay's words beside the field, before the list is asked for it again and again.
          if (asked !== '') await client.admin.listDelayed({ topic: asked, max: 1 })
          setQuery({ topic: asked, after: undefined })
        })}
      >
        <TopicField admin={client.admin} label={t.topic} {...form.field('topic')} />
        <Button type="submit" disabled={form.isBusy} testId="show-topic">{t.show}</Button>
      </form>
      <Notice>{form.failure ?? (answer.error === undefined ? undefined : textOf(answer.error))}</Notice>
      {answer.isWaiting ? <p class="hint" role="status">{texts().loading}</p> : (
        <Table
          label={t.delayed} testId="delayed" rows={rows} keyOf={({ recallHandle }) => recallHandle} empty={t.none}
          columns={[
            { title: t.due, cell: ({ deliverMs }) => <Moment timeMs={deliverMs} /> },
            {
              title: t.left, isNumber: true, isMinor: true,
              cell: ({ deliverMs }) => (deliverMs <= Date.now() ? t.overdue : formatSpan(deliverMs - Date.now())),
            },
            { title: t.topicColumn, isMinor: true, cell: (row) => <a href={hrefOf('topics', row.topic)}>{row.topic}</a> },
            {
              title: t.id, cell: (row) => (
                <button
                  type="button" class="link" data-testid="delayed-row" aria-pressed={row.recallHandle === shown?.recallHandle}
                  onClick={() => show(row)}
                >
                  <code>{row.message.messageId}</code>
                </button>
              ),
            },
            { title: t.body, isMinor: true, cell: ({ message }) => <code class="preview">{bodyPreview(message.body, 40)}</code> },
            {
              title: t.recall, cell: (row) => (
                <Button
                  kind="danger" label={t.recallLabel(row.message.messageId)} onClick={() => void recall(row)} testId="recall"
                >
                  {t.recall}
                </Button>
              ),
            },
          ]}
        />
      )}
      <Pager after={after} next={hasMore ? rows.at(-1)?.recallHandle : undefined} />
      {shown !== undefined && (
        <MessageDetail message={shown.message} client={client} isNotSendable onClose={() => show(undefined)} />
      )}
    </>
  )
}

function HalfMessages({ client }: { client: Client }): JSX.Element {
  const t = textsOf(en, zh)
  const form = useForm({ group: '' })
  const [producerGroup, setProducerGroup] = useState('')
  const answer = useAnswer(
    () => client.admin.listTransactions(producerGroup === '' ? {} : { producerGroup }), [client, producerGroup],
    { everyMs: 2_000 },
  )
  return (
    <>
      <p class="hint">{t.halvesLead}</p>
      <form
        class="row" onSubmit={form.submit(async () => {
          const asked = form.values.group.trim()
          if (asked !== '') await client.admin.listTransactions({ producerGroup: asked, max: 1 })
          setProducerGroup(asked)
        })}
      >
        <Field label={t.group} {...form.field('group')} />
        <Button type="submit" disabled={form.isBusy} testId="show-group">{t.show}</Button>
      </form>
      <Notice>{form.failure ?? (answer.error === undefined ? undefined : textOf(answer.error))}</Notice>
      {answer.isWaiting ? <p class="hint" role="status">{texts().loading}</p> : (
        <Table
          label={t.halves} testId="half-messages" rows={answer.value ?? []} keyOf={({ transactionId }) => transactionId}
          empty={t.noHalves}
          columns={[
            { title: t.transaction, cell: ({ transactionId }) => <code>{transactionId}</code> },
            { title: t.producers, cell: (row) => row.producerGroup },
            { title: t.since, cell: ({ preparedMs }) => formatSpan(Math.max(0, Date.now() - preparedMs)), isNumber: true },
            { title: t.checks, cell: ({ checkCount }) => formatCount(checkCount), isNumber: true, isMinor: true },
            { title: t.messages, cell: ({ messageCount }) => formatCount(messageCount), isNumber: true, isMinor: true },
            { title: t.bytes, cell: ({ byteCount }) => formatBytes(byteCount), isNumber: true, isMinor: true },
            { title: t.topics, cell: ({ topics }) => topics.join(', '), isMinor: true },
          ]}
        />
      )}
    </>
  )
}
