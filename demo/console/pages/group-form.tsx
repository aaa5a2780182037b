// How a group treats messages that fail, and how many it has in hand: the form of a new group, and of one that is there.
// What is left empty stays as it is, in a new group as the relay has it.

import type { JSX } from 'preact'
import { type Client, type GroupDetail, type GroupSettings, PocketError } from '../../../core/index.ts'
import { Button, Choice, Field, Notice, Panel } from '../../shared/controls.tsx'
import { formatDuration, textsOf } from '../../shared/language.ts'
import { type Form, useForm } from '../form.ts'
import { note } from '../notes.tsx'
import { asPocketError } from '../operator.ts'
import { goTo, hrefOf } from '../route.ts'
import { countOf, durationOf, wordsOf } from '../values.ts'

const en = {
  create: 'New group', name: 'Name', make: 'Create', cancel: 'Cancel', made: (group: string) => `Group ${group} is there`,
  settings: 'Settings', save: 'Save', saved: (group: string) => `Settings of ${group} are saved`,
  maxAttempts: 'Attempts in all', maxAttemptsHint: 'Of one message, the first included',
  retryKind: 'Failed messages come again',
  kinds: { standard: 'as the relay has it', schedule: 'after a list of delays', exponential: 'after growing delays' },
  delays: 'Delays before attempt 2, 3, …', delaysHint: 'Such as 10s 30s 1m; later attempts use the last',
  first: 'First delay', firstHint: 'Such as 500ms or 5s', factor: 'Times longer each attempt', max: 'Longest delay',
  exhausted: 'When all attempts failed (FIFO)',
  ends: { 'dead-letter': 'to the dead letters', hold: 'hold the message group' },
  maxInFlight: 'In hand at once, all members', maxInFlightPerMember: 'In hand at once, each member',
  bound: 'Messages of a topic; 0 is no bound',
}
const zh: typeof en = {
  create: '新建消费组', name: '名称', make: '创建', cancel: '取消', made: (group) => `消费组 ${group} 已创建`,
  settings: '设置', save: '保存', saved: (group) => `${group} 的设置已保存`,
  maxAttempts: '总投递次数', maxAttemptsHint: '一条消息的投递次数，含首次',
  retryKind: '失败消息的重试间隔',
  kinds: { standard: '中继默认', schedule: '按列表', exponential: '逐次增长' },
  delays: '第 2、3 … 次投递前的间隔', delaysHint: '例如 10s 30s 1m；之后的重试沿用最后一个',
  first: '首次间隔', firstHint: '例如 500ms 或 5s', factor: '每次放大倍数', max: '最长间隔',
  exhausted: '重试用尽后（FIFO）',
  ends: { 'dead-letter': '进入死信', hold: '保留并阻塞其消息组' },
  maxInFlight: '全组同时处理上限', maxInFlightPerMember: '每成员同时处理上限',
  bound: '每个主题的消息数；0 表示不限',
}

type SettingsField =
  | 'maxAttempts' | 'retryKind' | 'retryDelays' | 'retryFirst' | 'retryFactor' | 'retryMax' | 'exhausted' | 'maxInFlight'
  | 'maxInFlightPerMember'

const unset: Readonly<Record<SettingsField, string>> = {
  maxAttempts: '', retryKind: 'standard', retryDelays: '', retryFirst: '', retryFactor: '2', retryMax: '',
  exhausted: 'dead-letter', maxInFlight: '', maxInFlightPerMember: '',
}

export function NewGroupForm({ client, cancel }: { client: Client; cancel: () => void }): JSX.Element {
  const t = textsOf(en, zh)
  const form = useForm({ ...unset, group: '' })

  async function create(): Promise<void> {
    const group = form.values.group.trim()
    const settings = settingsOf(form.values)
    // The relay would change the settings of a group that is there.
    if (await isThere(client, group)) throw new PocketError('BAD_ARGUMENT', `group '${group}' is there already`)
    await client.admin.configureGroup(group, settings)
    note(t.made(group))
    goTo(hrefOf('groups', group))
  }

  return (
    <Panel title={t.create}>
      <form class="stack" onSubmit={form.submit(create)} data-testid="group-form">
        <SettingsFields form={form} name={<Field label={t.name} {...form.field('group')} />} isNew />
        <Notice>{form.failure}</Notice>
        <div class="actions">
          <Button type="submit" kind="primary" testId="create-group">{t.make}</Button>
          <Button onClick={cancel}>{t.cancel}</Button>
        </div>
      </form>
    </Panel>
  )
}

/** Takes up the settings once, when it appears: what is being typed stays. */
export function GroupSettingsForm({ client, detail, saved }: {
  client: Client
  detail: GroupDetail
  saved: () => Promise<void>
}): JSX.Element {
  const t = textsOf(en, zh)
  const { group } = detail
  const form = useForm(textsOfSettings(detail))

  async function save(): Promise<void> {
    await client.admin.configureGroup(group, settingsOf(form.values))
    note(t.saved(group))
    await saved()
  }

  return (
    <Panel title={t.settings}>
      <form class="stack" onSubmit={form.submit(save)} data-testid="settings-form">
        <SettingsFields form={form} />
        <Notice>{form.failure}</Notice>
        <div class="actions"><Button type="submit" kind="primary" testId="save-group">{t.save}</Button></div>
      </form>
    </Panel>
  )
}

function SettingsFields({ form, name, isNew = false }: {
  form: Form<SettingsField>
  /** The field for it, where the group has none yet. */
  name?: JSX.Element
  isNew?: boolean
}): JSX.Element {
  const t = textsOf(en, zh)
  const { retryKind, exhausted } = form.values
  const kinds = isNew ? ['standard', 'schedule', 'exponential'] as const : ['schedule', 'exponential'] as const
  return (
    <>
      <div class="fields">
        {name}
        <Field label={t.maxAttempts} hint={t.maxAttemptsHint} {...form.field('maxAttempts')} />
        <Choice
          label={t.exhausted} value={exhausted} testId="field-exhausted"
          options={(['dead-letter', 'hold'] as const).map((end) => ({ value: end as string, text: t.ends[end] }))}
          onChange={(end) => form.set({ exhausted: end })}
        />
        <Field label={t.maxInFlight} hint={t.bound} {...form.field('maxInFlight')} />
        <Field label={t.maxInFlightPerMember} hint={t.bound} {...form.field('maxInFlightPerMember')} />
      </div>
      <div class="fields">
        <Choice
          label={t.retryKind} value={retryKind} testId="field-retryKind"
          options={kinds.map((kind) => ({ value: kind as string, text: t.kinds[kind] }))}
          onChange={(kind) => form.set({ retryKind: kind })}
        />
        {retryKind === 'schedule' && (
          <div class="wide"><Field label={t.delays} hint={t.delaysHint} {...form.field('retryDelays')} /></div>
        )}
        {retryKind === 'exponential' && (
          <>
            <Field label={t.first} hint={t.firstHint} {...form.field('retryFirst')} />
            <Field label={t.factor} {...form.field('retryFactor')} />
            <Field label={t.max} {...form.field('retryMax')} />
          </>
        )}
      </div>
    </>
  )
}

/** Throws BAD_ARGUMENT where a number is none; durations are the client's to judge. */
function settingsOf(values: Readonly<Record<SettingsField, string>>): GroupSettings {
  const maxAttempts = countOf(values.maxAttempts, 'maxAttempts')
  const maxInFlight = countOf(values.maxInFlight, 'maxInFlight')
  const maxInFlightPerMember = countOf(values.maxInFlightPerMember, 'maxInFlightPerMember')
  const retry = retryOf(values)
  return {
    exhausted: values.exhausted === 'hold' ? 'hold' : 'dead-letter',
    ...(maxAttempts === undefined ? {} : { maxAttempts }),
    ...(maxInFlight === undefined ? {} : { maxInFlight }),
    ...(maxInFlightPerMember === undefined ? {} : { maxInFlightPerMember }),
    ...(retry === undefined ? {} : { retry }),
  }
}

function retryOf(values: Readonly<Record<SettingsField, string>>): GroupSettings['retry'] {
  if (values.retryKind === 'standard') return undefined
  if (values.retryKind === 'schedule') return wordsOf(values.retryDelays).map((delay) => typedDuration(delay, 'a delay of retry'))
  const factor = countOf(values.retryFactor, 'factor')
  return {
    first: typedDuration(values.retryFirst, 'retry.first'),
    max: typedDuration(values.retryMax, 'retry.max'),
    ...(factor === undefined ? {} : { factor }),
  }
}

type Delay = Extract<NonNullable<GroupSettings['retry']>, { readonly first: unknown }>['first']

/** Nothing goes as it is: the client says what to write. */
function typedDuration(text: string, name: string): Delay {
  return durationOf(text, name) ?? '' as Delay
}

function textsOfSettings(detail: GroupDetail): Readonly<Record<SettingsField, string>> {
  const { maxAttempts, retry, exhausted, maxInFlight, maxInFlightPerMember } = detail
  return {
    ...unset,
    maxAttempts: String(maxAttempts),
    exhausted,
    maxInFlight: String(maxInFlight),
    maxInFlightPerMember: String(maxInFlightPerMember),
    retryKind: retry.kind,
    ...(retry.kind === 'schedule'
      ? { retryDelays: retry.delaysMs.map(formatDuration).join(' ') }
      : {
          retryFirst: formatDuration(retry.firstMs), retryFactor: String(retry.factor), retryMax: formatDuration(retry.maxMs),
        }),
  }
}

async function isThere(client: Client, group: string): Promise<boolean> {
  try {
    await client.admin.describeGroup(group)
    return true
  } catch (thrown) {
    const error = asPocketError(thrown)
    if (error.code === 'GROUP_NOT_FOUND') return false
    throw error
  }
}
