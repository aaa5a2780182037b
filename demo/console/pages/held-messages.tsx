// Messages whose attempts are over and that hold their message groups up, by topic, and what may become of them.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Client, GroupDetail } from '../../../core/index.ts'
import { Button, Notice, Panel } from '../../shared/controls.tsx'
import { formatCount, textsOf } from '../../shared/language.ts'
import { confirm } from '../confirm.tsx'
import { textOf } from '../form.ts'
import { note } from '../notes.tsx'
import { asPocketError } from '../operator.ts'

const en = {
  title: 'Held messages',
  lead: 'All their attempts failed, and the group holds such messages: what follows in their message groups waits ' +
    'until it is decided.',
  count: (topic: string, count: number) => `${topic}: ${formatCount(count)} held`,
  retry: 'Try again', retryLabel: (topic: string) => `Try again on ${topic}`,
  retried: (topic: string) => `What was held on ${topic} begins anew with attempt 1`,
  bury: 'Bury …', buryLabel: (topic: string) => `Bury on ${topic}`, buryGo: 'Bury',
  buryTitle: (topic: string) => `Bury what is held on ${topic}?`,
  buryLead: (count: number) =>
    `They go to the dead letters of the group, and what is behind them is delivered. Held now: ${formatCount(count)}.`,
  buried: (topic: string) => `What was held on ${topic} is among the dead letters`,
}
const zh: typeof en = {
  title: '保留的消息',
  lead: '这些消息的重试已用尽，而该组设置为保留：同一消息组的后续消息等待处理决定。',
  count: (topic, count) => `${topic}：保留 ${formatCount(count)} 条`,
  retry: '重试', retryLabel: (topic) => `重试 ${topic} 上的消息`,
  retried: (topic) => `${topic} 上保留的消息从第 1 次投递重新开始`,
  bury: '转入死信 …', buryLabel: (topic) => `将 ${topic} 上的消息转入死信`, buryGo: '转入死信',
  buryTitle: (topic) => `将 ${topic} 上保留的消息转入死信？`,
  buryLead: (count) => `${formatCount(count)} 条消息进入该组的死信，其后的消息继续投递。`,
  buried: (topic) => `${topic} 上保留的消息已转入死信`,
}

/** Nothing where nothing is held. */
export function HeldMessages({ client, detail: { group, queues }, settled }: {
  client: Client
  detail: GroupDetail
  settled: () => Promise<void>
}): JSX.Element | null {
  const t = textsOf(en, zh)
  const [failure, setFailure] = useState<string>()
  const counts = new Map<string, number>()
  for (const { topic, held } of queues) if (held > 0) counts.set(topic, (counts.get(topic) ?? 0) + held)
  if (counts.size === 0) return null

  async function retry(topic: string): Promise<void> {
    setFailure(undefined)
    try {
      await client.admin.settleHeld(group, topic, 'retry')
      note(t.retried(topic))
      await settled()
    } catch (error) {
      setFailure(textOf(asPocketError(error)))
    }
  }

  async function bury(topic: string, count: number): Promise<void> {
    const isDone = await confirm({
      title: t.buryTitle(topic), lead: t.buryLead(count), word: group, action: t.buryGo,
      act: () => client.admin.settleHeld(group, topic, 'dead-letter'),
    })
    if (!isDone) return
    note(t.buried(topic))
    await settled()
  }

  return (
    <Panel title={t.title}>
      <p class="hint">{t.lead}</p>
      <Notice>{failure}</Notice>
      <ul class="list" data-testid="held">
        {[...counts].map(([topic, count]) => (
          <li key={topic}>
            <span class="grow">{t.count(topic, count)}</span>
            <span class="actions">
              <Button label={t.retryLabel(topic)} testId="retry-held" onClick={() => void retry(topic)}>{t.retry}</Button>
              <Button kind="danger" label={t.buryLabel(topic)} testId="bury-held" onClick={() => void bury(topic, count)}>
                {t.bury}
              </Button>
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  )
}
