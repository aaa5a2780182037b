// The settings in force and all that the relay counts. Read-only: settings are changed where the relay is started.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { Field, Notice, Panel } from '../../shared/controls.tsx'
import { formatBytes, formatCount, formatMoment, textsOf } from '../../shared/language.ts'
import { textOf } from '../form.ts'
import { Facts } from '../message-detail.tsx'
import { PageHead, type PageProps } from '../page.tsx'
import { Table } from '../table.tsx'
import { texts } from '../texts.ts'

const en = {
  lead: 'As the relay was started. Each is a flag, a variable and a key of the configuration file; a change needs a restart.',
  relay: 'The relay', version: 'version', started: 'started', search: 'Search settings and figures',
  settings: 'Settings in force', name: 'name', value: 'value', meaning: 'meaning', figures: 'Figures',
  none: 'None of them holds that.', unset: 'not set',
}
const zh: typeof en = {
  lead: '中继启动时的设置。每一项都可用命令行参数、环境变量或配置文件给出；修改后需要重启。',
  relay: '中继', version: '版本', started: '启动时间', search: '搜索设置与数值',
  settings: '生效的设置', name: '名称', value: '值', meaning: '含义', figures: '数值', none: '没有匹配的条目。',
  unset: '未设置',
}

export function SettingsPage({ pulse }: PageProps): JSX.Element {
  const t = textsOf(en, zh)
  const [containing, setContaining] = useState('')
  const info = pulse.beat.value?.info
  const error = pulse.error.value
  const holds = (...words: string[]): boolean =>
    words.some((word) => word.toLowerCase().includes(containing.trim().toLowerCase()))
  return (
    <>
      <PageHead title={texts().pages.settings} lead={t.lead} />
      <Notice>{error === undefined ? undefined : textOf(error)}</Notice>
      {info === undefined ? <p class="hint" role="status">{texts().loading}</p> : (
        <>
          <Panel title={t.relay}>
            <Facts facts={[[t.version, info.version], [t.started, formatMoment(info.startedMs)]]} />
          </Panel>
          <div class="row">
            <Field label={t.search} type="search" value={containing} onInput={setContaining} testId="search" />
          </div>
          <Panel title={t.settings}>
            <Table
              label={t.settings} testId="settings" keyOf={({ name }) => name} empty={t.none}
              rows={info.settings.filter(({ name, value, meaning }) => holds(name, value, meaning))}
              columns={[
                {
                  title: t.name,
                  cell: ({ name, meaning }) => <><code>{name}</code><span class="instead-of-minor" lang="en">{meaning}</span></>,
                },
                {
                  title: t.value,
                  cell: ({ value }) => value === '' ? <span class="soft">{t.unset}</span> : <code>{value}</code>,
                },
                { title: t.meaning, cell: ({ meaning }) => <span lang="en">{meaning}</span>, isMinor: true },
              ]}
            />
          </Panel>
          <Panel title={t.figures}>
            <Table
              label={t.figures} testId="figures" keyOf={([name]) => name} empty={t.none}
              rows={[...info.figures].filter(([name]) => holds(name))}
              columns={[
                { title: t.name, cell: ([name]) => <code>{name}</code> },
                {
                  title: t.value, isNumber: true,
                  cell: ([name, value]) => (name.endsWith('Bytes') ? formatBytes(value) : formatCount(value)),
                },
              ]}
            />
          </Panel>
        </>
      )}
    </>
  )
}
