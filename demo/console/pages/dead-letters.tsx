// Dead letters: the groups that have any, and those of one group, to look at, put back, export or purge.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Client, ListedTopic } from '../../../core/index.ts'
import { Button, Notice, Panel } from '../../shared/controls.tsx'
import { formatCount, textsOf } from '../../shared/language.ts'
import { useAnswer } from '../answer.ts'
import { confirm } from '../confirm.tsx'
import { textOf, useForm } from '../form.ts'
import { MessageDetail } from '../message-detail.tsx'
import { download, messageJson, type StoredMessage } from '../message-file.ts'
import { MessageList } from '../message-list.tsx'
import { note } from '../notes.tsx'
import { asPocketError } from '../operator.ts'
import { PageHead, type PageProps } from '../page.tsx'
import { hrefOf, route, setQuery } from '../route.ts'
import { Listing } from '../table.tsx'
import { texts } from '../texts.ts'
import { GroupField } from '../topic-field.tsx'

const en = {
  lead: 'What failed in its last attempt, kept aside for each group.',
  group: 'Group', show: 'Show', all: 'All groups', search: 'Group begins with', list: 'Groups with dead letters',
  noneAnywhere: 'No group has dead letters.', groupColumn: 'group', count: 'dead letters',
  none: 'This group has no dead letters.',
  letters: (group: string) => `Dead letters of ${group}`,
  total: (count: number) => (count === 1 ? '1 dead letter' : `${formatCount(count)} dead letters`),
  cut: (shown: number, all: number) => `The oldest ${formatCount(shown)} of ${formatCount(all)}`, more: 'Show more',
  origin: 'from', attempts: 'attempts',
  resend: 'Put back', purge: 'Purge', export: 'Export', resendAll: 'Put all back', purgeAll: 'Purge all',
  exportAll: 'Export all shown',
  picked: (count: number) => `${formatCount(count)} picked`,
  resent: (count: number) => `${formatCount(count)} put back.`, purged: (count: number) => `${formatCount(count)} purged.`,
  resendTitle: 'Put all dead letters back?',
  resendLead: 'Each goes back to the topic it came from, as a new message for every group of that topic.',
  purgeTitle: 'Purge dead letters?', purgeLead: (what: string) => `${what} will be deleted for good.`,
  ofAll: 'All dead letters of the group',
}
const zh: typeof en = {
  lead: '最后一次尝试仍失败的消息，按消费组保存。',
  group: '消费组', show: '查看', all: '所有消费组', search: '消费组名称开头', list: '有死信的消费组',
  noneAnywhere: '没有任何消费组有死信。', groupColumn: '消费组', count: '死信', none: '该消费组没有死信。',
  letters: (group) => `${group} 的死信`,
  total: (count) => `${formatCount(count)} 条死信`,
  cut: (shown, all) => `最早的 ${formatCount(shown)} 条，共 ${formatCount(all)} 条`, more: '加载更多',
  origin: '来源', attempts: '尝试次数',
  resend: '送回', purge: '清除', export: '导出', resendAll: '全部送回', purgeAll: '全部清除', exportAll: '导出所示全部',
  picked: (count) => `已选 ${formatCount(count)} 条`,
  resent: (count) => `已送回 ${formatCount(count)} 条。`, purged: (count) => `已清除 ${formatCount(count)} 条。`,
  resendTitle: '送回全部死信？',
  resendLead: '每条都会回到原主题，对该主题的每个消费组都是新消息。',
  purgeTitle: '清除死信？', purgeLead: (what) => `${what}将被永久删除。`,
  ofAll: '该消费组的全部死信',
}

/** The relay keeps a group's dead letters in a topic of this prefix (`deadLetterTopicOf`). */
const topicPrefix = '%DLQ%'
/** So many are shown at first, and more each time more are asked for. */
const pageCount = 256
/** Where a dead letter was before, as the relay writes it (PROTOCOL.md). */
const originProperties = ['DLQ_ORIGIN_TOPIC', 'DLQ_ORIGIN_QUEUE_ID', 'DLQ_ORIGIN_OFFSET'] as const

export function DeadLettersPage({ client }: PageProps): JSX.Element {
  const t = textsOf(en, zh)
  const group = route.value.query.get('group') ?? ''
  const form = useForm({ group })
  return (
    <>
      <PageHead title={texts().pages['dead-letters']} lead={t.lead} />
      <form
        class="row" onSubmit={form.submit(async () => {
          const asked = form.values.group.trim()
          // In the relay's words beside the field, before it is asked for again and again.
          if (asked !== '') await client.admin.deadLetters(asked, { max: 1 })
          setQuery({ group: asked, find: undefined, after: undefined })
        })}
      >
        <GroupField admin={client.admin} label={t.group} {...form.field('group')} />
        <Button type="submit" kind="primary" disabled={form.isBusy} testId="show-group">{t.show}</Button>
      </form>
      <Notice>{form.failure}</Notice>
      {group === '' ? <Groups client={client} /> : <Letters key={group} client={client} group={group} />}
    </>
  )
}

function Groups({ client }: { client: Client }): JSX.Element {
  const t = textsOf(en, zh)
  const groupOf = (topic: string): string => topic.slice(topicPrefix.length)
  return (
    <Listing<ListedTopic>
      label={t.list} testId="dead-letter-groups" searchLabel={t.search} empty={t.noneAnywhere} nameOf={({ topic }) => topic}
      load={({ containing, ...page }) => client.admin.listTopics({ containing: topicPrefix + containing, ...page })}
      columns={[
        {
          title: t.groupColumn,
          cell: ({ topic }) => <a href={hrefOf('dead-letters', undefined, { group: groupOf(topic) })}>{groupOf(topic)}</a>,
        },
        { title: t.count, cell: ({ messageCount }) => formatCount(messageCount), isNumber: true },
      ]}
    />
  )
}

function Letters({ client, group }: { client: Client; group: string }): JSX.Element {
  const t = textsOf(en, zh)
  const { admin } = client
  const [picked, pick] = useState<ReadonlySet<string>>(new Set())
  const [shown, show] = useState<StoredMessage>()
  const [failure, setFailure] = useState<string>()
  const [shownCount, setShownCount] = useState(pageCount)
  // More bodies are asked for less often.
  const everyMs = 3_000 * (shownCount / pageCount)
  const answer = useAnswer(() => lettersOf(client, group, shownCount), [client, group, shownCount], { everyMs })
  const { letters, count } = answer.value ?? { letters: [], count: 0 }
  /** Those that are still there. */
  const chosen = letters.filter(({ messageId }) => picked.has(messageId))
  const chosenIds = chosen.map(({ messageId }) => messageId)

  async function done(text: string): Promise<void> {
    note(text)
    pick(new Set())
    show(undefined)
    await answer.refresh()
  }

  async function resend(messageIds: readonly string[]): Promise<void> {
    setFailure(undefined)
    try {
      await done(t.resent(await admin.resendDeadLetters(group, { messageIds })))
    } catch (error) {
      setFailure(textOf(asPocketError(error)))
      await answer.refresh()
    }
  }

  async function resendAll(): Promise<void> {
    let count = 0
    const isDone = await confirm({
      title: t.resendTitle, lead: t.resendLead, word: group, action: t.resendAll,
      act: async () => (count = await admin.resendDeadLetters(group)),
    })
    await (isDone ? done(t.resent(count)) : answer.refresh())
  }

  async function purge(messageIds?: readonly string[]): Promise<void> {
    let count = 0
    const what = messageIds === undefined ? t.ofAll : t.total(messageIds.length)
    const isDone = await confirm({
      title: t.purgeTitle, lead: t.purgeLead(what), word: group, action: messageIds === undefined ? t.purgeAll : t.purge,
      act: async () => (count = await admin.purgeDeadLetters(group, messageIds === undefined ? {} : { messageIds })),
    })
    await (isDone ? done(t.purged(count)) : answer.refresh())
  }

  /** A JSON array of messages, as `messageJson` has them. */
  function exportLetters(some: readonly StoredMessage[]): void {
    download(`dead-letters-${group}.json`, `${JSON.stringify(some.map(messageJson), undefined, 2)}\n`, 'application/json')
  }

  return (
    <Panel
      title={t.letters(group)} actions={(
        <div class="actions">
          <a class="button" href={hrefOf('groups', group)}>{t.group}</a>
          <a class="button" href={hrefOf('dead-letters')}>{t.all}</a>
        </div>
      )}
    >
      <Notice>{failure ?? (answer.error === undefined ? undefined : textOf(answer.error))}</Notice>
      {answer.isWaiting ? <p class="hint" role="status">{texts().loading}</p> : letters.length > 0 && (
        <div class="actions dead-letter-actions">
          <span class="soft grow" role="status" data-testid="letter-count">
            {chosen.length > 0 ? t.picked(chosen.length) : count > letters.length ? t.cut(letters.length, count) : t.total(count)}
          </span>
          {count > letters.length && (
            <Button onClick={() => setShownCount(shownCount + pageCount)} testId="more-letters">{t.more}</Button>
          )}
          <Button disabled={chosen.length === 0} onClick={() => void resend(chosenIds)} testId="resend-picked">{t.resend}</Button>
          <Button disabled={chosen.length === 0} onClick={() => exportLetters(chosen)} testId="export-picked">{t.export}</Button>
          <Button kind="danger" disabled={chosen.length === 0} onClick={() => void purge(chosenIds)} testId="purge-picked">
            {t.purge}
          </Button>
          <Button onClick={() => void resendAll()} testId="resend-all">{t.resendAll}</Button>
          <Button onClick={() => exportLetters(letters)} testId="export-all">{t.exportAll}</Button>
          <Button kind="danger" onClick={() => void purge()} testId="purge-all">{t.purgeAll}</Button>
        </div>
      )}
      {!answer.isWaiting && (
        <MessageList
          messages={letters} label={t.letters(group)} testId="letters" empty={t.none} selected={shown?.messageId} onSelect={show}
          picked={picked} onPick={pick} hasNoPlace extraColumns={originColumns()}
        />
      )}
      {shown !== undefined && (
        <MessageDetail
          message={shown} client={client} isNotSendable onClose={() => show(undefined)} actions={(
            <>
              <Button onClick={() => void resend([shown.messageId])} testId="resend-one">{t.resend}</Button>
              <Button kind="danger" onClick={() => void purge([shown.messageId])} testId="purge-one">{t.purge}</Button>
            </>
          )}
        />
      )}
    </Panel>
  )
}

async function lettersOf(
  { admin }: Client, group: string, max: number,
): Promise<{ readonly letters: readonly StoredMessage[]; readonly count: number }> {
  const name = topicPrefix + group
  const [letters, topics] = await Promise.all([admin.deadLetters(group, { max }), admin.listTopics({ containing: name })])
  // They come and go between the two answers.
  const known = topics.find(({ topic }) => topic === name)?.messageCount ?? 0
  return { letters, count: letters.length < max ? letters.length : Math.max(known, letters.length) }
}

function originColumns(): { title: string; cell: (letter: StoredMessage) => string; isNumber?: boolean; isMinor?: boolean }[] {
  const t = textsOf(en, zh)
  return [
    {
      title: t.origin,
      cell: ({ properties }) => {
        const [topic = '', queueId = '', offset = ''] = originProperties.map((name) => properties.get(name))
        return `${topic}/${queueId}@${offset}`
      },
      isMinor: true,
    },
    { title: t.attempts, cell: ({ properties }) => properties.get('DLQ_ATTEMPTS') ?? '', isNumber: true },
  ]
}
