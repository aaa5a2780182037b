// The page of groups: all there are, what waits for them, and a form for a new one.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { GroupInfo } from '../../../core/index.ts'
import { Badge, Button } from '../../shared/controls.tsx'
import { formatCount, textsOf } from '../../shared/language.ts'
import { PageHead, type PageProps } from '../page.tsx'
import { hrefOf } from '../route.ts'
import { Listing } from '../table.tsx'
import { texts } from '../texts.ts'
import { NewGroupForm } from './group-form.tsx'

const en = {
  lead: 'Who consumes: the members of a group share its messages, and the relay keeps its progress on every topic.',
  create: 'New group', search: 'Find a group by its name', list: 'Groups',
  group: 'Group', members: 'Members', backlog: 'Backlog', state: 'State',
  paused: 'paused', deserted: 'nobody consumes', running: 'consumes', idle: 'idle',
  empty: 'There are no groups yet. One appears with its first consumer, or is made here in advance with “New group”.',
}
const zh: typeof en = {
  lead: '谁在消费：组内成员分摊消息，中继保存该组在每个主题上的进度。',
  create: '新建消费组', search: '按名称查找消费组', list: '消费组',
  group: '消费组', members: '成员', backlog: '积压', state: '状态',
  paused: '已暂停', deserted: '无人消费', running: '消费中', idle: '空闲',
  empty: '还没有消费组。第一个消费者连接时会自动出现，也可以用“新建消费组”预先创建。',
}

export function GroupsPage({ client, pulse }: PageProps): JSX.Element {
  const t = textsOf(en, zh)
  const [isCreating, setCreating] = useState(false)
  const totalCount = pulse.beat.value?.info.figures.get('groups')
  return (
    <>
      <PageHead
        title={texts().pages.groups}
        lead={t.lead}
        actions={(
          <Button pressed={isCreating} onClick={() => setCreating(!isCreating)} testId="new-group">{t.create}</Button>
        )}
      />
      {isCreating && <NewGroupForm client={client} cancel={() => setCreating(false)} />}
      <Listing<GroupInfo>
        label={t.list} searchLabel={t.search} empty={t.empty} testId="groups" nameOf={({ group }) => group}
        load={(page) => client.admin.listGroups(page)} {...(totalCount === undefined ? {} : { totalCount })}
        columns={[
          { title: t.group, cell: ({ group }) => <a href={hrefOf('groups', group)}>{group}</a> },
          { title: t.members, isNumber: true, cell: ({ memberCount }) => formatCount(memberCount) },
          { title: t.backlog, isNumber: true, cell: ({ backlog }) => formatCount(backlog) },
          {
            title: t.state,
            cell: ({ paused, memberCount, backlog }) => {
              if (paused) return <Badge tone="warn">{t.paused}</Badge>
              if (memberCount > 0) return <Badge tone="good">{t.running}</Badge>
              return backlog > 0 ? <Badge tone="bad">{t.deserted}</Badge> : <Badge>{t.idle}</Badge>
            },
          },
        ]}
      />
    </>
  )
}
