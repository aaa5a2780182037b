// Messages in a table: one may be chosen to be looked at, and several to do something with.

import type { JSX } from 'preact'
import { Moment } from '../shared/controls.tsx'
import { textsOf } from '../shared/language.ts'
import { bodyPreview, type StoredMessage } from './message-file.ts'
import { type Column, Table } from './table.tsx'

const en = {
  stored: 'stored', place: 'place', id: 'id', tag: 'tag', keys: 'keys', group: 'message group', body: 'body',
  pick: (id: string) => `pick ${id}`, pickAll: 'pick all', show: (id: string) => `show ${id}`,
}
const zh: typeof en = {
  stored: '存储时间', place: '位置', id: 'ID', tag: '标签', keys: '键', group: '消息组', body: '消息体',
  pick: (id) => `选择 ${id}`, pickAll: '全选', show: (id) => `显示 ${id}`,
}

export interface MessageListProps {
  readonly messages: readonly StoredMessage[]
  readonly label: string
  readonly testId: string
  readonly empty: string
  /** The one that is shown. */
  readonly selected?: string | undefined
  readonly onSelect?: (message: StoredMessage) => void
  /** Ids of those picked; without it nothing can be picked. */
  readonly picked?: ReadonlySet<string>
  readonly onPick?: (picked: ReadonlySet<string>) => void
  /** Where the place says nothing. */
  readonly hasNoPlace?: boolean
  /** Behind the place. */
  readonly extraColumns?: readonly Column<StoredMessage>[]
}

export function MessageList(props: MessageListProps): JSX.Element {
  const { messages, label, testId, empty, selected, onSelect, picked, onPick, hasNoPlace = false, extraColumns = [] } = props
  const t = textsOf(en, zh)
  const columns: Column<StoredMessage>[] = [
    ...(picked === undefined ? [] : [pickColumn(messages, picked, onPick)]),
    { title: t.stored, cell: ({ storedMs }) => <Moment timeMs={storedMs} /> },
    {
      title: t.id,
      cell: (message) => onSelect === undefined ? <code>{message.messageId}</code> : (
        <button
          type="button" class="link" aria-pressed={message.messageId === selected} data-testid="message-row"
          onClick={() => onSelect(message)}
        >
          <code>{message.messageId}</code>
        </button>
      ),
    },
    ...(hasNoPlace ? [] : [{
      title: t.place, cell: ({ topic, queueId, offset }: StoredMessage) => `${topic}/${queueId}@${offset}`, isMinor: true,
    }]),
    ...extraColumns,
    { title: t.tag, cell: ({ tag }) => tag ?? '', isMinor: true },
    { title: t.keys, cell: ({ keys }) => keys.join(', '), isMinor: true },
    { title: t.group, cell: ({ messageGroup }) => messageGroup ?? '', isMinor: true },
    { title: t.body, cell: ({ body }) => <code class="preview">{bodyPreview(body)}</code>, isMinor: true },
  ]
  // A column that says nothing of any of them is left out.
  const told = columns.filter(({ title }) => {
    if (title === t.tag) return messages.some(({ tag }) => tag !== undefined)
    if (title === t.keys) return messages.some(({ keys }) => keys.length > 0)
    return title !== t.group || messages.some(({ messageGroup }) => messageGroup !== undefined)
  })
  return (
    <Table label={label} testId={testId} columns={told} rows={messages} keyOf={({ messageId }) => messageId} empty={empty} />
  )
}

function pickColumn(
  messages: readonly StoredMessage[], picked: ReadonlySet<string>, onPick: MessageListProps['onPick'],
): Column<StoredMessage> {
  const t = textsOf(en, zh)
  const areAll = messages.length > 0 && messages.every(({ messageId }) => picked.has(messageId))
  return {
    title: '',
    head: (
      <input
        type="checkbox" aria-label={t.pickAll} checked={areAll} indeterminate={!areAll && picked.size > 0} data-testid="pick-all"
        onChange={() => onPick?.(new Set(areAll ? [] : messages.map(({ messageId }) => messageId)))}
      />
    ),
    cell: ({ messageId }) => (
      <input
        type="checkbox" aria-label={t.pick(messageId)} checked={picked.has(messageId)} data-testid="pick"
        onChange={({ currentTarget }) => {
          const next = new Set(picked)
          if (currentTarget.checked) next.add(messageId)
          else next.delete(messageId)
          onPick?.(next)
        }}
      />
    ),
  }
}
