// Who is in a group, and how far it is in each queue.

import type { JSX } from 'preact'
import type { GroupDetail } from '../../../core/index.ts'
import { Panel } from '../../shared/controls.tsx'
import { formatCount, formatMoment, formatSpan, textsOf } from '../../shared/language.ts'
import { hrefOf } from '../route.ts'
import { texts } from '../texts.ts'
import { PagedTable } from './paged-table.tsx'

const en = {
  members: 'Members', noMembers: 'Nobody of this group is connected: its messages wait.',
  topic: 'Topic', mode: 'Mode', filter: 'Filter', client: 'Client', address: 'Address', inFlight: 'In flight',
  progress: 'Progress',
  noProgress: 'No progress is kept for this group yet: it begins with the first member that consumes, or is moved below.',
  queue: 'Queue', ackFloor: 'All acked below', next: 'Next', maxOffset: 'End', retry: 'For retry', held: 'Held',
  backlog: 'Backlog', lag: 'Lag',
}
const zh: typeof en = {
  members: '成员', noMembers: '该组没有成员在线：消息在等待。',
  topic: '主题', mode: '模式', filter: '过滤', client: '客户端', address: '地址', inFlight: '处理中',
  progress: '进度', noProgress: '该组还没有进度：成员首次消费时，或在下方重置到某个主题时产生。',
  queue: '队列', ackFloor: '此前均已确认', next: '下一个', maxOffset: '末尾', retry: '待重试', held: '保留', backlog: '积压',
  lag: '延迟',
}

/** How long the oldest message has waited that was stored then; a dash where there is none. */
export function Lag({ oldestStoredMs }: { oldestStoredMs: number }): JSX.Element {
  if (oldestStoredMs <= 0) return <>{texts().none}</>
  return (
    <time dateTime={new Date(oldestStoredMs).toISOString()} title={formatMoment(oldestStoredMs)}>
      {formatSpan(Math.max(0, Date.now() - oldestStoredMs))}
    </time>
  )
}

export function Members({ members }: Pick<GroupDetail, 'members'>): JSX.Element {
  const t = textsOf(en, zh)
  return (
    <Panel title={t.members}>
      <PagedTable
        label={t.members} rows={members} empty={t.noMembers} testId="members"
        keyOf={({ memberId, topic }) => `${memberId} ${topic}`}
        columns={[
          {
            title: t.client,
            cell: ({ clientId, clientName, consumerName }) => (
              <>
                <a href={hrefOf('connections', undefined, { find: clientId })}>{clientName === '' ? clientId : clientName}</a>
                {consumerName !== '' && <span class="soft"> {consumerName}</span>}
              </>
            ),
          },
          { title: t.topic, cell: ({ topic }) => <a href={hrefOf('topics', topic)}>{topic}</a> },
          { title: t.mode, isMinor: true, cell: ({ mode }) => mode },
          {
            title: t.filter,
            cell: ({ filter, filterKind }) => <><code>{filter}</code> <span class="soft">{filterKind}</span></>,
          },
          { title: t.address, isMinor: true, cell: ({ peer }) => peer },
          { title: t.inFlight, isNumber: true, cell: ({ inFlight }) => formatCount(inFlight) },
        ]}
      />
    </Panel>
  )
}

export function Progress({ queues }: Pick<GroupDetail, 'queues'>): JSX.Element {
  const t = textsOf(en, zh)
  return (
    <Panel title={t.progress}>
      <PagedTable
        label={t.progress} rows={queues} empty={t.noProgress} testId="progress"
        keyOf={({ topic, queueId }) => `${topic} ${queueId}`}
        columns={[
          { title: t.topic, cell: ({ topic }) => <a href={hrefOf('topics', topic)}>{topic}</a> },
          { title: t.queue, isNumber: true, cell: ({ queueId }) => queueId },
          { title: t.ackFloor, isNumber: true, isMinor: true, cell: ({ ackFloor }) => formatCount(ackFloor) },
          { title: t.next, isNumber: true, isMinor: true, cell: ({ nextOffset }) => formatCount(nextOffset) },
          { title: t.maxOffset, isNumber: true, isMinor: true, cell: ({ maxOffset }) => formatCount(maxOffset) },
          { title: t.inFlight, isNumber: true, cell: ({ inFlight }) => formatCount(inFlight) },
          { title: t.retry, isNumber: true, isMinor: true, cell: ({ waitingForRetry }) => formatCount(waitingForRetry) },
          { title: t.held, isNumber: true, isMinor: true, cell: ({ held }) => formatCount(held) },
          { title: t.backlog, isNumber: true, cell: ({ backlog }) => formatCount(backlog) },
          { title: t.lag, isNumber: true, cell: ({ oldestStoredMs }) => <Lag oldestStoredMs={oldestStoredMs} /> },
        ]}
      />
    </Panel>
  )
}
