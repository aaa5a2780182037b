// Messages that are stored: those of a topic and a time, of a key, or one by its id. What is asked for stands in the address.

import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Admin, Client } from '../../../core/index.ts'
import { Button, Choice, Field, Notice } from '../../shared/controls.tsx'
import { formatCount, textsOf } from '../../shared/language.ts'
import { useForm } from '../form.ts'
import { MessageDetail } from '../message-detail.tsx'
import type { StoredMessage } from '../message-file.ts'
import { MessageList } from '../message-list.tsx'
import { PageHead, type PageProps } from '../page.tsx'
import { route, setQuery } from '../route.ts'
import { texts } from '../texts.ts'
import { rangeOf, TimeRange } from '../time-range.tsx'
import { TopicField } from '../topic-field.tsx'

const en = {
  lead: 'What is stored, by topic and time, by key, or by id.',
  by: 'Find by', ways: { time: 'topic and time', key: 'topic and key', id: 'message id' },
  topic: 'Topic', key: 'Key', id: 'Message id', max: 'At most', find: 'Find',
  found: (count: number) => (count === 1 ? '1 message, all that fits.' : `${formatCount(count)} messages, all that fit.`),
  cut: (count: number) => `The oldest ${formatCount(count)} that fit. There are more: narrow the time, or go on.`,
  more: 'Show more',
  none: 'Nothing is stored that fits. A longer time may hold something; what was kept long enough is gone.',
  noneOfId: 'No message of this id is stored (any more).', ask: 'Ask for something to see it here.', list: 'Messages found',
}
const zh: typeof en = {
  lead: '按主题和时间、按键或按 ID 查询已存储的消息。',
  by: '查询方式', ways: { time: '主题与时间', key: '主题与键', id: '消息 ID' },
  topic: '主题', key: '键', id: '消息 ID', max: '最多', find: '查询',
  found: (count) => `${formatCount(count)} 条消息，已全部列出。`,
  cut: (count) => `符合条件的最早 ${formatCount(count)} 条，还有更多：请缩小时间范围或继续加载。`,
  more: '加载更多',
  none: '没有符合条件的消息。可以扩大时间范围；超过保留时间的消息已被删除。',
  noneOfId: '没有此 ID 的消息，或已被删除。', ask: '查询后在此显示结果。', list: '查到的消息',
}

const maxChoices = ['64', '128', '256'] as const

/** The texts of the form; `way` is one of `en.ways`. */
type Query = Readonly<Record<'way' | 'topic' | 'key' | 'messageId' | 'span' | 'from' | 'to' | 'max', string>>

interface Found {
  /** What was asked for, with the moments that its span meant then. */
  readonly query: Query
  readonly range: { readonly from: Date; readonly to?: Date }
  readonly messages: readonly StoredMessage[]
  /** More fit. */
  readonly isCut: boolean
}

export function MessagesPage({ client }: PageProps): JSX.Element {
  const t = textsOf(en, zh)
  const form = useForm<keyof Query>(queryOf(route.value.query))
  const [found, setFound] = useState<Found>()
  const [selected, select] = useState<StoredMessage>()
  const { values } = form

  const search = form.submit(async () => {
    setFound(undefined)
    select(undefined)
    setQuery(addressOf(values))
    const first = await find(client, values)
    setFound(first)
    if (first.messages.length === 1) select(first.messages[0])
  })
  useEffect(() => {
    // A link from another page says what to ask for.
    const { way, topic, key, messageId } = values
    if (messageId !== '' || (topic !== '' && (way === 'time' || key !== ''))) search(new Event('submit'))
  }, [])

  function goOn(from: Found): void {
    form.submit(async () => setFound(await findMore(client, from)))(new Event('submit'))
  }

  return (
    <>
      <PageHead title={texts().pages.messages} lead={t.lead} />
      <form class="fields query" onSubmit={search}>
        <Choice
          label={t.by} value={values.way} testId="way" onChange={(way) => form.set({ way })}
          options={(['time', 'key', 'id'] as const).map((way) => ({ value: way as string, text: t.ways[way] }))}
        />
        {values.way === 'id'
          ? <Field label={t.id} {...form.field('messageId')} />
          : <TopicField admin={client.admin} label={t.topic} {...form.field('topic')} />}
        {values.way === 'key' && <Field label={t.key} {...form.field('key')} />}
        {values.way !== 'id' && (
          <>
            <TimeRange
              values={values} set={form.set} errors={{ from: form.field('from').error, to: form.field('to').error }}
            />
            <Choice
              label={t.max} value={values.max} testId="max" onChange={(max) => form.set({ max })}
              options={maxChoices.map((max) => ({ value: max as string, text: max }))}
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
          <>
            {found.messages.length > 0 && (
              <div class="row found">
                <p class="hint" role="status" data-testid="found">{(found.isCut ? t.cut : t.found)(found.messages.length)}</p>
                {found.isCut && (
                  <Button disabled={form.isBusy} testId="more" onClick={() => goOn(found)}>{t.more}</Button>
                )}
              </div>
            )}
            <MessageList
              messages={found.messages} label={t.list} testId="messages" selected={selected?.messageId} onSelect={select}
              empty={found.query.way === 'id' ? t.noneOfId : t.none}
            />
          </>
        )}
      {selected !== undefined && (
        <MessageDetail message={selected} client={client} onClose={() => select(undefined)} />
      )}
    </>
  )
}

function queryOf(query: ReadonlyMap<string, string>): Query {
  const given = (name: string, otherwise = ''): string => query.get(name) ?? otherwise
  const way = query.has('id') ? 'id' : query.has('key') ? 'key' : 'time'
  const max = given('max')
  return {
    way, topic: given('topic'), key: given('key'), messageId: given('id'), span: given('span', way === 'key' ? 'all' : 'hour'),
    from: given('from'), to: given('to'), max: maxChoices.find((one) => one === max) ?? maxChoices[0],
  }
}

/** Only what the way asks for. */
function addressOf({ way, topic, key, messageId, span, from, to, max }: Query): Record<string, string | undefined> {
  const isById = way === 'id'
  const isBetween = !isById && span === 'between'
  return {
    id: isById ? messageId : undefined,
    topic: isById ? undefined : topic,
    key: way === 'key' ? key : undefined,
    span: isById ? undefined : span,
    from: isBetween ? from : undefined,
    to: isBetween ? to : undefined,
    max: isById ? undefined : max,
  }
}

async function find({ admin }: Client, query: Query): Promise<Found> {
  if (query.way === 'id') {
    const message = await admin.findById(query.messageId.trim())
    return { query, range: { from: new Date(0) }, messages: message === undefined ? [] : [message], isCut: false }
  }
  const range = rangeOf(query)
  const messages = await ask(admin, query, range)
  return { query, range, messages, isCut: await isAnythingBehind(admin, query, range, messages) }
}

/** Goes on behind the last one found. */
async function findMore({ admin }: Client, { query, range, messages: before }: Found): Promise<Found> {
  const messages = [...before, ...await ask(admin, query, range, before.at(-1))]
  return { query, range, messages, isCut: await isAnythingBehind(admin, query, range, messages) }
}

async function isAnythingBehind(
  admin: Admin, query: Query, range: Found['range'], messages: readonly StoredMessage[],
): Promise<boolean> {
  const last = messages.at(-1)
  return last !== undefined && (await ask(admin, { ...query, max: '1' }, range, last)).length > 0
}

function ask(
  admin: Admin, { way, topic, key, max }: Query, range: Found['range'], after?: StoredMessage,
): Promise<readonly StoredMessage[]> {
  const options = { ...range, max: Number(max), ...(after === undefined ? {} : { after }) }
  return way === 'key' ? admin.findByKey(topic.trim(), key.trim(), options) : admin.findByTime(topic.trim(), options)
}
