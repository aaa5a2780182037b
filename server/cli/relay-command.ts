// `pocketmq relay`: the relay itself: what it counts, its settings, who is connected, and ending a client's connection.

import type { Command } from 'commander'
import type { ConnectionInfo, RelayInfo } from '../../core/client/admin-api.ts'
import { asClientCommand, type ClientCommandOptions, runWithClient } from './client-command.ts'
import { type CommandContext, createProcessContext } from './context.ts'
import { formatJson, formatTable, write } from './output.ts'
import { formatBytes, formatCount, formatTime, given, parseCount } from './values.ts'

interface ConnectionsOptions extends ClientCommandOptions {
  readonly containing?: string
  readonly max?: number
}

/** Adds `relay` to the program. */
export function registerRelayCommand(program: Command, context: CommandContext = createProcessContext()): void {
  const relay = program.command('relay').description('the relay itself: figures, settings, connections')

  asClientCommand(relay.command('describe'), ['relay describe', 'relay describe --json'])
    .description('show the version, what is counted, and the settings in force')
    .action((options: ClientCommandOptions) => runWithClient(context, options, async (client) => {
      const info = await client.admin.describeRelay()
      const json = { ...info, figures: Object.fromEntries(info.figures) }
      await write(context, options.json === true ? formatJson(json) : formatRelay(info))
    }))

  asClientCommand(relay.command('connections'), ['relay connections', 'relay connections --containing till --json'])
    .description('show who is connected')
    .option('--containing <text>', 'only those whose id, name or address holds it')
    .option('--max <count>', 'at most so many (default: 500)', parseCount(1))
    .action((options: ConnectionsOptions) => runWithClient(context, options, async (client) => {
      const { containing, max } = options
      const connections = await client.admin.listConnections(given({ containing, max }))
      await write(context, options.json === true ? formatJson(connections) : formatConnections(connections))
    }))

  asClientCommand(relay.command('close-connection'), ['relay close-connection 45d618f6b9f74ddf'])
    .description('end the connections of a client; it does not come back by itself')
    .argument('<clientId>', 'as `relay connections` shows it')
    .action((clientId: string, options: ClientCommandOptions) => runWithClient(context, options, async (client) => {
      await client.admin.closeConnection(clientId)
      await write(context, options.json === true ? formatJson({ clientId }) : `closed the connection of ${clientId}\n`)
    }))
}

function formatRelay({ version, startedMs, settings, figures }: RelayInfo): string {
  const head = `version  ${version}\nstarted  ${formatTime(startedMs)}\n\n`
  const shown = [...figures].map(([name, value]) => [name, name.endsWith('Bytes') ? formatBytes(value) : formatCount(value)])
  const figureTable = formatTable([{ title: 'figure' }, { title: 'value', align: 'right' }], shown)
  const settingTable = formatTable(
    [{ title: 'setting' }, { title: 'value' }], settings.map(({ name, value }) => [name, value]),
  )
  return `${head}${figureTable}\n${settingTable}`
}

function formatConnections(connections: readonly ConnectionInfo[]): string {
  if (connections.length === 0) return 'no connections\n'
  return formatTable(
    [
      { title: 'client' }, { title: 'name' }, { title: 'address' }, { title: 'since' },
      { title: 'subscriptions', align: 'right' }, { title: 'requests', align: 'right' }, { title: 'buffered', align: 'right' },
    ],
    connections.map(({ clientId, clientName, peer, sinceMs, streamCount, requestsInHand, bufferedBytes }) => [
      clientId, clientName, peer, formatTime(sinceMs), formatCount(streamCount), formatCount(requestsInHand),
      formatBytes(bufferedBytes),
    ]),
  )
}
