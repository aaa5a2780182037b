// Moves a group's progress on a topic: to its first or last message, to a moment, to an offset of one queue, or over all that
// waits. Messages come again or never come, so it is confirmed with the group's name.

import type { JSX } from 'preact'
import { useId } from 'preact/hooks'
import { type Client, type GroupDetail, PocketError } from '../../../core/index.ts'
import { Button, Choice, Field, Notice, Panel } from '../../shared/controls.tsx'
import { formatCount, formatMoment, textsOf } from '../../shared/language.ts'
import { useForm } from '../form.ts'
import { note } from '../notes.tsx'
import { countOf, momentOf } from '../values.ts'
import { confirmFor } from './confirm-for.ts'

const en = {
  title: 'Move the progress',
  lead: 'Back, and messages are delivered once more; forward, and those between never are. Leases held end at once.',
  topic: 'Topic', to: 'To',
  targets: { earliest: 'the first message kept', latest: 'the end', time: 'a time', offset: 'an offset' },
  at: 'Messages stored from', offset: 'Offset', queueId: 'Queue', queueHint: 'Empty: all queues',
  queueNeeded: 'An offset is one of a queue',
  reset: 'Move …', skip: 'Skip the backlog …',
  resetTitle: (group: string, topic: string) => `Move ${group} on ${topic}?`,
  resetLead: (where: string, queue: string) =>
    `${queue} to ${where}: what lies before is not delivered any more, what lies behind is delivered, again if need be.`,
  allQueues: 'All queues go', oneQueue: (queueId: number) => `Queue ${queueId} goes`,
  toTime: (time: string) => `what was stored from ${time}`, toOffset: (offset: number) => `offset ${formatCount(offset)}`,
  resetGo: 'Move', resetDone: (group: string, topic: string) => `${group} was moved on ${topic}`,
  skipTitle: (group: string, topic: string) => `Skip what waits for ${group} on ${topic}?`,
  skipLead: (count: number) =>
    `The group goes on with what is sent from now on. Messages that are never delivered to it: ${formatCount(count)}.`,
  skipGo: 'Skip', skipDone: (group: string, topic: string) => `${group} goes on at the end of ${topic}`,
}
const zh: typeof en = {
  title: '重置进度',
  lead: '往回移，消息会再次投递；往前移，中间的消息不再投递。已有的租约立即结束。',
  topic: '主题', to: '移到',
  targets: { earliest: '最早保留的消息', latest: '末尾', time: '某个时间', offset: '某个位点' },
  at: '从此时间存储的消息开始', offset: '位点', queueId: '队列', queueHint: '留空：全部队列', queueNeeded: '位点属于某个队列',
  reset: '重置 …', skip: '跳过积压 …',
  resetTitle: (group, topic) => `重置 ${group} 在 ${topic} 上的进度？`,
  resetLead: (where, queue) => `${queue}移到${where}：之前的消息不再投递，之后的消息会投递，必要时再次投递。`,
  allQueues: '全部队列', oneQueue: (queueId) => `队列 ${queueId} `,
  toTime: (time) => `${time} 起存储的消息`, toOffset: (offset) => `位点 ${formatCount(offset)}`,
  resetGo: '重置', resetDone: (group, topic) => `${group} 在 ${topic} 上的进度已重置`,
  skipTitle: (group, topic) => `跳过 ${group} 在 ${topic} 上的积压？`,
  skipLead: (count) => `该组从此刻起的新消息继续。${formatCount(count)} 条消息将不再投递给它。`,
  skipGo: '跳过', skipDone: (group, topic) => `${group} 从 ${topic} 的末尾继续`,
}

const targets = ['earliest', 'latest', 'time', 'offset'] as const

type Target = (typeof targets)[number]
type Reset = Parameters<Client['admin']['resetGroup']>[2]

export function ResetForm({ client, detail, moved }: {
  client: Client
  detail: GroupDetail
  moved: () => Promise<void>
}): JSX.Element {
  const t = textsOf(en, zh)
  const { group, queues } = detail
  const topics = [...new Set(queues.map(({ topic }) => topic))]
  const form = useForm({ topic: topics[0] ?? '', target: 'earliest', from: '', offset: '', queueId: '' })
  const target = form.values.target as Target
  const listId = useId()

  /** What the relay is asked, and how it is called. */
  function asked(): { reset: Reset; where: string } {
    const { values } = form
    const queueId = countOf(values.queueId, 'queueId')
    const queue = queueId === undefined ? {} : { queueId }
    if (target === 'time') {
      const to = needed(momentOf(values.from, 'from'), 'from is empty; it takes a date with its time')
      return { reset: { to, ...queue }, where: t.toTime(formatMoment(to.getTime())) }
    }
    if (target === 'offset') {
      const offset = needed(countOf(values.offset, 'offset'), 'offset is empty; it takes a whole number')
      const offsetQueueId = needed(queueId, 'queueId is empty; an offset is one of a queue')
      return { reset: { to: { offset }, queueId: offsetQueueId }, where: t.toOffset(offset) }
    }
    return { reset: { to: target, ...queue }, where: t.targets[target] }
  }

  /** Nobody has to confirm what is about a topic, a queue or an offset that is not there. */
  async function knownTopic({ to, queueId }: Partial<Reset> = {}): Promise<string> {
    const detail = await client.admin.describeTopic(form.values.topic.trim())
    const { topic } = detail
    if (queueId === undefined) return topic
    const queue = detail.queues.find((one) => one.queueId === queueId)
    if (queue === undefined) {
      throw new PocketError('QUEUE_NOT_FOUND', `topic '${topic}' has queues 0 to ${detail.queues.length - 1}`)
    }
    const { minOffset, maxOffset } = queue
    if (typeof to === 'object' && 'offset' in to && (to.offset < minOffset || to.offset > maxOffset)) {
      const text = `queue ${queueId} of '${topic}' has offsets ${minOffset} to ${maxOffset}`
      throw new PocketError('OFFSET_OUT_OF_RANGE', text)
    }
    return topic
  }

  async function reset(): Promise<void> {
    const { reset: options, where } = asked()
    const topic = await knownTopic(options)
    const isDone = await confirmFor({
      title: t.resetTitle(group, topic), word: group, action: t.resetGo,
      lead: t.resetLead(where, options.queueId === undefined ? t.allQueues : t.oneQueue(options.queueId)),
      act: () => client.admin.resetGroup(group, topic, options),
    })
    if (!isDone) return
    note(t.resetDone(group, topic))
    await moved()
  }

  async function skip(): Promise<void> {
    const topic = await knownTopic()
    const waiting = queues.filter((queue) => queue.topic === topic).reduce((sum, { backlog }) => sum + backlog, 0)
    const isDone = await confirmFor({
      title: t.skipTitle(group, topic), word: group, action: t.skipGo, lead: t.skipLead(waiting),
      act: () => client.admin.resetGroup(group, topic, { to: 'latest' }),
    })
    if (!isDone) return
    note(t.skipDone(group, topic))
    await moved()
  }

  return (
    <Panel title={t.title}>
      <p class="hint">{t.lead}</p>
      <form class="stack" onSubmit={form.submit(reset)} data-testid="reset-form">
        <div class="fields">
          <Field label={t.topic} {...form.field('topic')} listId={listId} />
          <datalist id={listId}>{topics.map((topic) => <option key={topic} value={topic} />)}</datalist>
          <Choice
            label={t.to} value={target} testId="field-target" onChange={(to) => form.set({ target: to })}
            options={targets.map((to) => ({ value: to, text: t.targets[to] }))}
          />
          {target === 'time' && <Field label={t.at} type="datetime-local" {...form.field('from')} />}
          {target === 'offset' && <Field label={t.offset} {...form.field('offset')} />}
          <Field label={t.queueId} hint={target === 'offset' ? t.queueNeeded : t.queueHint} {...form.field('queueId')} />
        </div>
        <Notice>{form.failure}</Notice>
        <div class="actions">
          <Button type="submit" kind="danger" testId="reset">{t.reset}</Button>
          <Button kind="danger" testId="skip" onClick={() => form.submit(skip)(new Event('submit'))}>{t.skip}</Button>
        </div>
      </form>
    </Panel>
  )
}

function needed<T>(value: T | undefined, otherwise: string): T {
  if (value === undefined) throw new PocketError('BAD_ARGUMENT', otherwise)
  return value
}
