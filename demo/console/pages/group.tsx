// The page of one group: how it does, who is in it, how far it is, and what an operator can do about it.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Client, GroupDetail } from '../../../core/index.ts'
import { Badge, Button, Figure, Figures, Notice } from '../../shared/controls.tsx'
import { formatCount, textsOf } from '../../shared/language.ts'
import { useAnswer } from '../answer.ts'
import { confirm } from '../confirm.tsx'
import { textOf } from '../form.ts'
import { note } from '../notes.tsx'
import { asPocketError } from '../operator.ts'
import { type DetailProps, PageHead } from '../page.tsx'
import { goTo, hrefOf } from '../route.ts'
import { texts } from '../texts.ts'
import { GroupSettingsForm } from './group-form.tsx'
import { Lag, Members, Progress } from './group-tables.tsx'
import { HeldMessages } from './held-messages.tsx'
import { ResetForm } from './reset-form.tsx'

const everyMs = 1_500

const en = {
  delivered: 'delivered / s', acked: 'acked / s', backlog: 'backlog', lag: 'the oldest waits', inFlight: 'in flight',
  retry: 'wait for a retry', held: 'held', members: 'members',
  paused: 'paused', running: 'hands out messages', deadLetters: 'Its dead letters',
  pause: 'Pause', resume: 'Resume',
  pausedNote: (group: string) => `${group} is paused: what is in hand is finished, nothing more is handed out`,
  resumedNote: (group: string) => `${group} goes on`,
  remove: 'Delete …', removeGo: 'Delete', removeTitle: (group: string) => `Delete the group ${group}?`,
  removeLead: 'Its settings and its progress on every topic are gone, and its consumers end. ' +
    'Messages of the topics stay, and so do its dead letters.',
  removed: (group: string) => `Group ${group} is deleted`,
  missing: (group: string) => `There is no group “${group}”, or not any more. ` +
    'A group appears with its first consumer, or is made in the list of groups.',
  toList: 'To the groups',
}
const zh: typeof en = {
  delivered: '投递 / 秒', acked: '确认 / 秒', backlog: '积压', lag: '最早消息已等待', inFlight: '处理中',
  retry: '待重试', held: '保留', members: '成员',
  paused: '已暂停', running: '正常投递', deadLetters: '该组的死信',
  pause: '暂停', resume: '恢复',
  pausedNote: (group) => `${group} 已暂停：处理中的消息会完成，不再投递新消息`,
  resumedNote: (group) => `${group} 已恢复`,
  remove: '删除 …', removeGo: '删除', removeTitle: (group) => `删除消费组 ${group}？`,
  removeLead: '该组的设置和在所有主题上的进度都会消失，其消费者会结束。主题中的消息和该组的死信保留。',
  removed: (group) => `消费组 ${group} 已删除`,
  missing: (group) => `没有名为“${group}”的消费组，可能已被删除。消费组随第一个消费者出现，也可以在列表中新建。`,
  toList: '返回消费组',
}

export function GroupPage({ client, name }: DetailProps): JSX.Element {
  const t = textsOf(en, zh)
  const parent = { href: hrefOf('groups'), text: texts().pages.groups }
  const answer = useAnswer(() => client.admin.describeGroup(name), [client, name], { everyMs })
  const { value: detail, error, isWaiting, refresh } = answer
  if (error?.code === 'GROUP_NOT_FOUND') {
    return (
      <>
        <PageHead title={name} parent={parent} />
        <Notice tone="plain">{t.missing(name)}</Notice>
        <p><a href={parent.href}>{t.toList}</a></p>
      </>
    )
  }
  return (
    <>
      <PageHead
        title={name} parent={parent}
        lead={detail === undefined ? undefined : <State paused={detail.paused} group={name} />}
        actions={detail === undefined ? undefined : <Actions client={client} detail={detail} changed={refresh} />}
      />
      <Notice>{error === undefined ? undefined : textOf(error)}</Notice>
      {isWaiting && <p class="hint" role="status">{texts().loading}</p>}
      {detail !== undefined && (
        <>
          <Facts detail={detail} />
          <HeldMessages client={client} detail={detail} settled={refresh} />
          <Members members={detail.members} />
          <Progress queues={detail.queues} />
          <ResetForm client={client} detail={detail} moved={refresh} />
          <GroupSettingsForm client={client} detail={detail} saved={refresh} />
        </>
      )}
    </>
  )
}

function State({ paused, group }: { paused: boolean; group: string }): JSX.Element {
  const t = textsOf(en, zh)
  return (
    <span class="row">
      <span data-testid="state">
        <Badge tone={paused ? 'warn' : 'good'}>
          <i aria-hidden="true">{paused ? '◌' : '●'}</i>
          {paused ? t.paused : t.running}
        </Badge>
      </span>
      <a href={hrefOf('dead-letters', undefined, { group })}>{t.deadLetters}</a>
    </span>
  )
}

function Actions({ client, detail: { group, paused }, changed }: {
  client: Client
  detail: GroupDetail
  changed: () => Promise<void>
}): JSX.Element {
  const t = textsOf(en, zh)
  const [failure, setFailure] = useState<string>()

  async function pauseOrResume(): Promise<void> {
    setFailure(undefined)
    try {
      await client.admin.configureGroup(group, { paused: !paused })
      note(paused ? t.resumedNote(group) : t.pausedNote(group))
      await changed()
    } catch (error) {
      setFailure(textOf(asPocketError(error)))
    }
  }

  async function remove(): Promise<void> {
    const isDone = await confirm({
      title: t.removeTitle(group), lead: t.removeLead, word: group, action: t.removeGo,
      act: () => client.admin.deleteGroup(group),
    })
    if (!isDone) return
    note(t.removed(group))
    goTo(hrefOf('groups'))
  }

  return (
    <>
      <Notice>{failure}</Notice>
      <Button onClick={() => void pauseOrResume()} testId="pause">{paused ? t.resume : t.pause}</Button>
      <Button kind="danger" onClick={() => void remove()} testId="delete">{t.remove}</Button>
    </>
  )
}

function Facts({ detail: { queues, members, deliveredPerSecond, ackedPerSecond } }: { detail: GroupDetail }): JSX.Element {
  const t = textsOf(en, zh)
  const sumOf = (name: 'backlog' | 'inFlight' | 'waitingForRetry' | 'held'): number =>
    queues.reduce((sum, queue) => sum + queue[name], 0)
  const stored = queues.map(({ oldestStoredMs }) => oldestStoredMs).filter((storedMs) => storedMs > 0)
  const oldestStoredMs = stored.reduce((oldest, storedMs) => Math.min(oldest, storedMs), stored[0] ?? 0)
  const held = sumOf('held')
  return (
    <Figures>
      <Figure label={t.backlog} value={formatCount(sumOf('backlog'))} testId="figure-backlog" />
      <Figure label={t.lag} value={<Lag oldestStoredMs={oldestStoredMs} />} testId="figure-lag" />
      <Figure label={t.inFlight} value={formatCount(sumOf('inFlight'))} testId="figure-in-flight" />
      <Figure label={t.retry} value={formatCount(sumOf('waitingForRetry'))} testId="figure-retry" />
      <Figure label={t.held} value={formatCount(held)} tone={held > 0 ? 'warn' : 'plain'} testId="figure-held" />
      <Figure label={t.members} value={formatCount(members.length)} testId="figure-members" />
      <Figure label={t.delivered} value={formatRate(deliveredPerSecond)} testId="figure-delivered" />
      <Figure label={t.acked} value={formatRate(ackedPerSecond)} testId="figure-acked" />
    </Figures>
  )
}

/** A slow group's rate is not nothing. */
function formatRate(perSecond: number): string {
  return formatCount(perSecond < 10 ? Math.round(perSecond * 10) / 10 : Math.round(perSecond))
}
