// The settings of a topic as a form: all of them where it is created, those that can be changed where it is there.

import type { JSX } from 'preact'
import { durationToMs, PocketError, type TopicInfo, type TopicSettings } from '../../../core/index.ts'
import { Choice, Field } from '../../shared/controls.tsx'
import { formatDuration, textsOf } from '../../shared/language.ts'
import type { Form } from '../form.ts'
import { bytesOf, countOf, durationOf, numberOf } from '../values.ts'

const en = {
  queueCount: 'Queues', queueCountHint: '1 to 1,024; order holds inside a queue. Empty: the relay’s default.',
  messageType: 'Type',
  types: { NORMAL: 'NORMAL', FIFO: 'FIFO: ordered by message group', PRIORITY: 'PRIORITY: a queue for each priority' },
  cleanupPolicy: 'Cleanup',
  policies: { DELETE: 'DELETE: by age and size', COMPACT: 'COMPACT: the last message of each key stays' },
  durability: 'Durability', durabilities: { strict: 'strict: answered when synced', relaxed: 'relaxed: may be answered before' },
  retention: 'Retention', retentionHint: 'Such as 72h or 7d; 0 keeps for ever.',
  retentionBytes: 'Size at most', retentionBytesHint: 'Such as 10GiB; 0 is no bound.',
  ttl: 'Time to live', ttlHint: 'Delivered for so long; 0 is for ever.',
  trace: 'Share that is traced', traceHint: '0 to 1.',
}
const zh: typeof en = {
  queueCount: '队列数', queueCountHint: '1 到 1,024；队列内保持顺序。留空则用中继默认值。',
  messageType: '类型',
  types: { NORMAL: 'NORMAL 普通', FIFO: 'FIFO：按消息组保持顺序', PRIORITY: 'PRIORITY：每个优先级一个队列' },
  cleanupPolicy: '清理策略', policies: { DELETE: 'DELETE：按时间与大小', COMPACT: 'COMPACT：每个键保留最后一条' },
  durability: '持久性', durabilities: { strict: 'strict：落盘后应答', relaxed: 'relaxed：可提前应答' },
  retention: '保留时间', retentionHint: '如 72h 或 7d；0 表示永久。',
  retentionBytes: '最大容量', retentionBytesHint: '如 10GiB；0 表示不限。',
  ttl: '存活时间', ttlHint: '可投递的时长；0 表示永久。',
  trace: '跟踪比例', traceHint: '0 到 1。',
}

const changeable = ['retention', 'retentionBytes', 'ttl', 'trace', 'durability'] as const
const fixed = ['queueCount', 'messageType', 'cleanupPolicy'] as const

export type ChangeableField = (typeof changeable)[number]
export type TopicField = ChangeableField | (typeof fixed)[number]

/** The relay's defaults, wherever nothing is typed. */
export const newTopicTexts: Readonly<Record<TopicField, string>> = {
  queueCount: '', messageType: 'NORMAL', cleanupPolicy: 'DELETE', durability: 'strict', retention: '', retentionBytes: '',
  ttl: '', trace: '',
}

/** As they are. */
export function textsOfTopic(topic: TopicInfo): Readonly<Record<ChangeableField, string>> {
  const { retentionMs, retentionBytes, ttlMs, trace, durability } = topic
  return {
    retention: formatDuration(retentionMs), retentionBytes: String(retentionBytes), ttl: formatDuration(ttlMs),
    trace: String(trace), durability,
  }
}

/** What is typed, as settings. Throws BAD_ARGUMENT, naming the field. */
export function settingsOf(texts: Readonly<Partial<Record<TopicField, string>>>): TopicSettings {
  const { queueCount = '', messageType, cleanupPolicy, durability } = texts
  const { retention = '', retentionBytes = '', ttl = '', trace = '' } = texts
  const settings: Readonly<Record<keyof TopicSettings, unknown>> = {
    queueCount: countOf(queueCount, 'queueCount'),
    messageType,
    cleanupPolicy,
    durability,
    retention: durationOf(retention, 'retention'),
    retentionBytes: bytesOf(retentionBytes, 'retentionBytes'),
    ttl: durationOf(ttl, 'ttl'),
    trace: numberOf(trace, 'trace'),
  }
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
}

/** Throws BAD_ARGUMENT where nothing is typed: a bound is not taken away by that, but by 0. */
export function checkTyped(texts: Readonly<Record<ChangeableField, string>>): void {
  for (const name of changeable) {
    if (texts[name].trim() === '') throw new PocketError('BAD_ARGUMENT', `${name} is empty; it takes a value, 0 for none`)
  }
}

/** Messages that are kept, or delivered, now may not be with these settings. */
export function isTighter(settings: TopicSettings, now: TopicInfo): boolean {
  const { retention, retentionBytes, ttl } = settings
  const isBelow = (next: number, before: number): boolean => next > 0 && (before === 0 || next < before)
  return isBelow(retention === undefined ? 0 : durationToMs(retention, 'retention'), now.retentionMs) ||
    isBelow(retentionBytes ?? 0, now.retentionBytes) ||
    isBelow(ttl === undefined ? 0 : durationToMs(ttl, 'ttl'), now.ttlMs)
}

export function ChangeableFields({ form }: { form: Form<ChangeableField> }): JSX.Element {
  const t = textsOf(en, zh)
  return (
    <>
      <Field label={t.retention} hint={t.retentionHint} {...form.field('retention')} />
      <Field label={t.retentionBytes} hint={t.retentionBytesHint} {...form.field('retentionBytes')} />
      <Field label={t.ttl} hint={t.ttlHint} {...form.field('ttl')} />
      <Field label={t.trace} hint={t.traceHint} {...form.field('trace')} />
      <Choice
        label={t.durability} value={form.values.durability} testId="field-durability"
        onChange={(durability) => form.set({ durability })} options={choicesOf(t.durabilities)}
      />
    </>
  )
}

export function FixedFields({ form }: { form: Form<(typeof fixed)[number]> }): JSX.Element {
  const t = textsOf(en, zh)
  return (
    <>
      <Field label={t.queueCount} hint={t.queueCountHint} {...form.field('queueCount')} />
      <Choice
        label={t.messageType} value={form.values.messageType} testId="field-messageType"
        onChange={(messageType) => form.set({ messageType })} options={choicesOf(t.types)}
      />
      <Choice
        label={t.cleanupPolicy} value={form.values.cleanupPolicy} testId="field-cleanupPolicy"
        onChange={(cleanupPolicy) => form.set({ cleanupPolicy })} options={choicesOf(t.policies)}
      />
    </>
  )
}

function choicesOf(texts: Readonly<Record<string, string>>): { value: string; text: string }[] {
  return Object.entries(texts).map(([value, text]) => ({ value, text }))
}
