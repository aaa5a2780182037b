// The trace: what happened to a message, or to those of a key, in the order it did. What is asked for stands in the address.

import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Client, Timeline } from '../../../core/index.ts'
import { Button, Choice, Field, Notice } from '../../shared/controls.tsx'
import { formatCount, textsOf } from '../../shared/language.ts'
import { type EventKind, TimelineView } from '../../shared/timeline.tsx'
import { useForm } from '../form.ts'
import { PageHead, type PageProps } from '../page.tsx'
import { hrefOf, route, setQuery } from '../route.ts'
import { texts } from '../texts.ts'
import { rangeOf, TimeRange } from '../time-range.tsx'
import { TopicField } from '../topic-field.tsx'

const en = {
  lead: 'Made, sent, stored, delivered, acknowledged, retried: when, by whom and for which group.',
  by: 'Find by', ways: { id: 'message id', key: 'topic and key' },
  topic: 'Topic', key: 'Key', id: 'Message id', find: 'Show',
  found: (count: number) => (count === 1 ? '1 message' : `${formatCount(count)} messages`),
  cut: (count: number) => `The oldest ${formatCount(count)} messages. There are more: narrow the time, or go on.`,
  none: 'Nothing is known of it. Topics are traced where their setting “trace” is above 0, as long as traces are kept.',
  more: 'Show more', ask: 'Ask for a message to see its way.', message: 'The message itself:',
  places: { producer: 'producer', relay: 'relay', consumer: 'consumer' },
}
const zh: typeof en = {
  lead: '产生、发送、存储、投递、确认、重试：时间、执行者与消费组。',
  by: '查询方式', ways: { id: '消息 ID', key: '主题与键' },
  topic: '主题', key: '键', id: '消息 ID', find: '查看',
  found: (count) => `${formatCount(count)} 条消息`,
  cut: (count) => `最早的 ${formatCount(count)} 条消息，还有更多：请缩小时间范围或继续加载。`,
  none: '没有相关信息。主题的“trace”设置大于 0 时才会记录轨迹，且轨迹有保留期限。',
  more: '加载更多', ask: '查询一条消息以查看其轨迹。', message: '消息本身：',
  places: { producer: '生产者', relay: '中继', consumer: '消费者' },
}

/** So many are shown at a time. */
const countMax = 64

interface Found {
  readonly query: Query
  readonly timelines: readonly Timeline[]
  /** There are more. */
  readonly isCut: boolean
}

/** Where such an event happens. */
const placesOfKinds: Readonly<Record<EventKind, keyof typeof en.places>> = {
  born: 'producer', sent: 'producer', stored: 'relay', delivered: 'consumer', acked: 'consumer', retried: 'consumer',
  expired: 'relay', held: 'relay', dead: 'relay',
}

/** The texts of the form; `way` is one of `en.ways`. */
type Query = Readonly<Record<'way' | 'topic' | 'key' | 'messageId' | 'span' | 'from' | 'to', string>>

export function TracePage({ client }: PageProps): JSX.Element {
  const t = textsOf(en, zh)
  const form = useForm<keyof Query>(queryOf(route.value.query))
  const [found, setFound] = useState<Found>()
  const { values } = form

  const search = form.submit(async () => {
    setFound(undefined)
    setQuery(addressOf(values))
    setFound(await find(client, values))
  })
  useEffect(() => {
    if (values.messageId !== '' || (values.topic !== '' && values.key !== '')) search(new Event('submit'))
  }, [])

  function goOn({ query, timelines }: Found): void {
    form.submit(async () => setFound(await find(client, query, timelines)))(new Event('submit'))
  }

  return (
    <>
      <PageHead title={texts().pages.trace} lead={t.lead} />
      <form class="fields query" onSubmit={search}>
        <Choice
          label={t.by} value={values.way} testId="way" onChange={(way) => form.set({ way })}
          options={(['id', 'key'] as const).map((way) => ({ value: way as string, text: t.ways[way] }))}
        />
        {values.way === 'id' ? <Field label={t.id} {...form.field('messageId')} /> : (
          <>
            <TopicField admin={client.admin} label={t.topic} {...form.field('topic')} />
            <Field label={t.key} {...form.field('key')} />
            <TimeRange
              values={values} set={form.set} errors={{ from: form.field('from').error, to: form.field('to').error }}
            />
          </>
        )}
        <div class="query-go"><Button type="submit" kind="primary" disabled={form.isBusy} testId="find">{t.find}</Button></div>
      </form>
      <Notice>{form.failure}</Notice>
      {form.isBusy && <p class="hint" role="status">{texts().loading}</p>}
      {found === undefined
        ? !form.isBusy && form.failure === undefined && <p class="hint">{t.ask}</p>
        : (
          <div class="row found">
            <p class="hint" role="status" data-testid={found.timelines.length === 0 ? 'no-trace' : 'found'}>
              {found.timelines.length === 0 ? t.none : (found.isCut ? t.cut : t.found)(found.timelines.length)}
            </p>
            {found.isCut && <Button disabled={form.isBusy} testId="more" onClick={() => goOn(found)}>{t.more}</Button>}
          </div>
        )}
      {found?.timelines.map((timeline) => (
        <TimelineView
          key={`${timeline.topic}/${timeline.queueId}@${timeline.offset}`} timeline={timeline}
          placeOf={(kind) => t.places[placesOfKinds[kind]]}
          footer={(
            <>
              {t.message}
              <a href={hrefOf('messages', undefined, { id: timeline.messageId })}><code>{timeline.messageId}</code></a>
            </>
          )}
        />
      ))}
    </>
  )
}

function queryOf(query: ReadonlyMap<string, string>): Query {
  const given = (name: string, otherwise = ''): string => query.get(name) ?? otherwise
  return {
    way: query.has('key') || query.has('topic') ? 'key' : 'id', topic: given('topic'), key: given('key'), messageId: given('id'),
    span: given('span', 'all'), from: given('from'), to: given('to'),
  }
}

/** Only what the way asks for. */
function addressOf({ way, topic, key, messageId, span, from, to }: Query): Record<string, string | undefined> {
  if (way === 'id') return { id: messageId, topic: undefined, key: undefined, span: undefined, from: undefined, to: undefined }
  const isBetween = span === 'between'
  return { id: undefined, topic, key, span, from: isBetween ? from : undefined, to: isBetween ? to : undefined }
}

/** What fits, behind what was found before. */
async function find({ admin }: Client, query: Query, before: readonly Timeline[] = []): Promise<Found> {
  const { way, topic, key, messageId } = query
  if (way === 'id') return { query, timelines: await admin.trace({ messageId: messageId.trim() }), isCut: false }
  const ask = (max: number, after: Timeline | undefined): Promise<readonly Timeline[]> =>
    admin.trace({ topic: topic.trim(), key: key.trim(), ...rangeOf(query), max, ...(after === undefined ? {} : { after }) })
  const timelines = [...before, ...await ask(countMax, before.at(-1))]
  const last = timelines.at(-1)
  return { query, timelines, isCut: last !== undefined && (await ask(1, last)).length > 0 }
}
