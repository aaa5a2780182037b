// The page of connections: who is at the relay, from where, and what it has in hand for them; one of them can be shown out.

import type { JSX } from 'preact'
import { useRef } from 'preact/hooks'
import type { ConnectionInfo } from '../../../core/index.ts'
import { Badge, Button } from '../../shared/controls.tsx'
import { formatBytes, formatCount, formatMoment, textsOf } from '../../shared/language.ts'
import type { Answer } from '../answer.ts'
import { confirm } from '../confirm.tsx'
import { note } from '../notes.tsx'
import { PageHead, type PageProps } from '../page.tsx'
import { Listing } from '../table.tsx'
import { texts } from '../texts.ts'

const consoleName = 'console'

const en = {
  lead: 'Clients that are connected now. A browser counts once, however many tabs it has open.',
  list: 'Connections', search: 'Find by client id, name or address',
  empty: 'Nobody is connected.',
  client: 'Client', name: 'Name', address: 'Address', since: 'Since', streams: 'Streams', requests: 'Requests in hand',
  buffered: 'Buffered', action: 'Action', console: 'a console',
  close: 'Close …', closeLabel: (clientId: string) => `Close the connection of ${clientId}`, closeGo: 'Close',
  closeTitle: (name: string) => `Close the connection of ${name}?`,
  closeLead: 'The client ends with FORBIDDEN and does not come back by itself: its application has to connect anew. ' +
    'Messages in its hands go to other members.',
  closed: (clientId: string) => `${clientId} was shown out`,
}
const zh: typeof en = {
  lead: '当前连接的客户端。一个浏览器无论打开多少标签页都只算一个。',
  list: '连接', search: '按客户端 id、名称或地址查找',
  empty: '没有客户端连接。',
  client: '客户端', name: '名称', address: '地址', since: '连接时间', streams: '流', requests: '处理中的请求',
  buffered: '缓冲', action: '操作', console: '控制台',
  close: '断开 …', closeLabel: (clientId) => `断开 ${clientId}`, closeGo: '断开',
  closeTitle: (name) => `断开 ${name} 的连接？`,
  closeLead: '该客户端以 FORBIDDEN 结束，不会自行重连：需由其应用重新连接。它手中的消息会转给其他成员。',
  closed: (clientId) => `${clientId} 已断开`,
}

export function ConnectionsPage({ client, pulse }: PageProps): JSX.Element {
  const t = textsOf(en, zh)
  const answerRef = useRef<Answer<readonly ConnectionInfo[]>>()
  const totalCount = pulse.beat.value?.info.figures.get('connections')

  async function close({ clientId, clientName }: ConnectionInfo): Promise<void> {
    const isDone = await confirm({
      title: t.closeTitle(clientName === '' ? clientId : clientName), lead: t.closeLead, word: clientId, action: t.closeGo,
      act: () => client.admin.closeConnection(clientId),
    })
    if (!isDone) return
    note(t.closed(clientId))
    await answerRef.current?.refresh()
  }

  return (
    <>
      <PageHead title={texts().pages.connections} lead={t.lead} />
      <Listing
        label={t.list} searchLabel={t.search} empty={t.empty} testId="connections" nameOf={({ clientId }) => clientId}
        load={(page) => client.admin.listConnections(page)} answerRef={answerRef}
        {...(totalCount === undefined ? {} : { totalCount })}
        columns={[
          { title: t.client, cell: ({ clientId }) => <code>{clientId}</code> },
          {
            title: t.name,
            cell: ({ clientName }) => clientName === consoleName ? <Badge tone="accent">{t.console}</Badge> : clientName,
          },
          { title: t.address, isMinor: true, cell: ({ peer }) => peer },
          {
            title: t.since, isMinor: true,
            cell: ({ sinceMs }) => <time dateTime={new Date(sinceMs).toISOString()}>{formatMoment(sinceMs)}</time>,
          },
          { title: t.streams, isNumber: true, isMinor: true, cell: ({ streamCount }) => formatCount(streamCount) },
          { title: t.requests, isNumber: true, isMinor: true, cell: ({ requestsInHand }) => formatCount(requestsInHand) },
          { title: t.buffered, isNumber: true, isMinor: true, cell: ({ bufferedBytes }) => formatBytes(bufferedBytes) },
          {
            title: t.action,
            cell: (connection) => (
              <Button
                kind="danger" label={t.closeLabel(connection.clientId)} testId="close" onClick={() => void close(connection)}
              >
                {t.close}
              </Button>
            ),
          },
        ]}
      />
    </>
  )
}
