// The overview: what the relay does now and did over the last minutes, and what needs an eye.

import type { JSX } from 'preact'
import { Figure, Figures, Notice, Panel } from '../../shared/controls.tsx'
import { formatBytes, formatCount, formatMoment, formatSpan, textsOf } from '../../shared/language.ts'
import { LiveChart } from '../../shared/live-chart.tsx'
import { textOf } from '../form.ts'
import { PageHead, type PageProps } from '../page.tsx'
import { type Beat, type Pulse, pulseSpanMs } from '../pulse.ts'
import { hrefOf } from '../route.ts'
import { texts } from '../texts.ts'

const en = {
  lead: (version: string, since: string) => `PocketMQ ${version}, running since ${since}`,
  traffic: 'Messages a second', trafficChart: 'Messages in and out a second, over the last five minutes',
  in: 'in', out: 'out',
  backlog: 'Backlog', backlogChart: 'Messages that wait and messages in hand, over the last five minutes',
  waiting: 'waiting', inHand: 'in hand', backlogNow: 'backlog',
  latency: 'Time of a commit', latencyChart: 'Milliseconds a commit takes, p50 and p99, over the last five minutes',
  perSecond: (text: string) => `${text} a second`,
  bytesIn: 'bytes in', bytesOut: 'bytes out', acked: 'acked', redelivered: 'delivered again', deadLetters: 'dead letters',
  connections: 'connections', members: 'members of groups', topics: 'topics', groups: 'groups', messages: 'messages stored',
  transactions: 'half messages open', used: 'store used', free: 'store free', memory: 'memory', cache: 'cache',
  errors: 'requests refused', gaps: 'gaps', damaged: 'damaged records', slow: 'slow readers cut off',
  p99: 'commit p99', now: 'Now', store: 'Store and memory', trouble: 'Since the start',
}
const zh: typeof en = {
  lead: (version, since) => `PocketMQ ${version}，自 ${since} 运行`,
  traffic: '每秒消息数', trafficChart: '最近五分钟每秒流入和流出的消息',
  in: '流入', out: '流出',
  backlog: '积压', backlogChart: '最近五分钟等待中和处理中的消息',
  waiting: '等待', inHand: '处理中', backlogNow: '积压',
  latency: '提交耗时', latencyChart: '最近五分钟提交耗时（毫秒），p50 与 p99',
  perSecond: (text) => `每秒 ${text}`,
  bytesIn: '流入字节', bytesOut: '流出字节', acked: '已确认', redelivered: '重新投递', deadLetters: '死信',
  connections: '连接', members: '组成员', topics: '主题', groups: '消费组', messages: '已存消息',
  transactions: '未决半消息', used: '存储已用', free: '存储可用', memory: '内存', cache: '缓存',
  errors: '被拒请求', gaps: '缺口', damaged: '损坏记录', slow: '被断开的慢读者',
  p99: '提交 p99', now: '当前', store: '存储与内存', trouble: '自启动以来',
}

export function OverviewPage({ pulse }: PageProps): JSX.Element {
  const t = textsOf(en, zh)
  const beat = pulse.beat.value
  const error = pulse.error.value
  return (
    <>
      <PageHead
        title={texts().pages.overview}
        lead={beat === undefined ? undefined : t.lead(beat.info.version, formatMoment(beat.info.startedMs))}
      />
      <Notice>{error === undefined ? undefined : textOf(error)}</Notice>
      {beat === undefined ? error === undefined && <p class="hint" role="status">{texts().loading}</p> : <Numbers beat={beat} />}
      <Charts pulse={pulse} />
      {beat !== undefined && <Rest beat={beat} />}
    </>
  )
}

function Numbers({ beat: { info, rates } }: { beat: Beat }): JSX.Element {
  const t = textsOf(en, zh)
  const rate = (name: string): string => formatCount(Math.round(rates.get(name) ?? 0))
  const count = (name: string): string => formatCount(info.figures.get(name) ?? 0)
  const commitMs = (info.figures.get('commitMicrosP99') ?? 0) / 1_000
  return (
    <Figures>
      <Figure label={t.perSecond(t.in)} value={rate('messagesInTotal')} testId="figure-in" />
      <Figure label={t.perSecond(t.out)} value={rate('messagesOutTotal')} testId="figure-out" />
      <Figure label={t.perSecond(t.acked)} value={rate('ackedTotal')} />
      <Figure label={t.backlogNow} value={<a href={hrefOf('groups')}>{count('backlog')}</a>} testId="figure-backlog" />
      <Figure label={t.inHand} value={count('inFlight')} />
      <Figure label={t.p99} value={formatSpan(commitMs)} testId="figure-commit" />
      <Figure
        label={t.connections} value={<a href={hrefOf('connections')}>{count('connections')}</a>} testId="figure-connections"
      />
      <Figure label={t.topics} value={<a href={hrefOf('topics')}>{count('topics')}</a>} testId="figure-topics" />
      <Figure label={t.groups} value={<a href={hrefOf('groups')}>{count('groups')}</a>} testId="figure-groups" />
    </Figures>
  )
}

function Charts({ pulse }: { pulse: Pulse }): JSX.Element {
  const t = textsOf(en, zh)
  const compact = (value: number): string => value.toLocaleString('en', { notation: 'compact', maximumFractionDigits: 1 })
  return (
    <div class="charts">
      <Panel title={t.traffic}>
        <LiveChart
          data={pulse.traffic} spanMs={pulseSpanMs} label={t.trafficChart} format={compact}
          series={[{ label: t.in, colour: '--lane-1' }, { label: t.out, colour: '--lane-2' }]}
        />
      </Panel>
      <Panel title={t.backlog}>
        <LiveChart
          data={pulse.backlog} spanMs={pulseSpanMs} label={t.backlogChart} format={compact}
          series={[{ label: t.waiting, colour: '--lane-3' }, { label: t.inHand, colour: '--lane-4' }]}
        />
      </Panel>
      <Panel title={t.latency}>
        <LiveChart
          data={pulse.commits} spanMs={pulseSpanMs} label={t.latencyChart} format={formatSpan}
          series={[{ label: 'p50', colour: '--lane-1' }, { label: 'p99', colour: '--lane-3' }]}
        />
      </Panel>
    </div>
  )
}

function Rest({ beat: { info, rates } }: { beat: Beat }): JSX.Element {
  const t = textsOf(en, zh)
  const figure = (name: string): number => info.figures.get(name) ?? 0
  const trouble = (label: string, name: string): JSX.Element => (
    <Figure label={label} value={formatCount(figure(name))} tone={figure(name) > 0 ? 'warn' : 'plain'} />
  )
  const freeBytes = info.figures.get('storeFreeBytes')
  return (
    <>
      <Panel title={t.store}>
        <Figures>
          <Figure label={t.messages} value={formatCount(figure('messages'))} testId="figure-messages" />
          <Figure label={t.used} value={formatBytes(figure('storeUsedBytes'))} testId="figure-used" />
          {freeBytes !== undefined && <Figure label={t.free} value={formatBytes(freeBytes)} />}
          <Figure label={t.memory} value={formatBytes(figure('memoryBytes'))} />
          <Figure label={t.cache} value={formatBytes(figure('cacheBytes'))} />
          <Figure label={t.perSecond(t.bytesIn)} value={formatBytes(rates.get('messageBytesInTotal') ?? 0)} />
          <Figure label={t.perSecond(t.bytesOut)} value={formatBytes(rates.get('messageBytesOutTotal') ?? 0)} />
          <Figure label={t.members} value={formatCount(figure('members'))} />
          <Figure label={t.transactions} value={formatCount(figure('transactionsOpen'))} />
        </Figures>
      </Panel>
      <Panel title={t.trouble}>
        <Figures>
          {trouble(t.redelivered, 'redeliveredTotal')}
          {trouble(t.deadLetters, 'deadLettersTotal')}
          {trouble(t.errors, 'errorsTotal')}
          {trouble(t.gaps, 'gapsTotal')}
          {trouble(t.damaged, 'damagedRecords')}
          {trouble(t.slow, 'slowReadersTotal')}
        </Figures>
      </Panel>
    </>
  )
}
