// `pocketmq transaction list`: half messages whose producers have not said what became of them.

import type { Command } from 'commander'
import type { TransactionInfo } from '../../core/client/admin-api.ts'
import { asClientCommand, type ClientCommandOptions, runWithClient } from './client-command.ts'
import { type CommandContext, createProcessContext } from './context.ts'
import { formatJson, formatTable, write } from './output.ts'
import { formatBytes, formatCount, formatTime, given, parseCount } from './values.ts'

interface ListOptions extends ClientCommandOptions {
  readonly group?: string
  readonly max?: number
}

/** Adds `transaction` to the program. */
export function registerTransactionCommand(program: Command, context: CommandContext = createProcessContext()): void {
  const transaction = program.command('transaction').description('transactions that are not ended')

  asClientCommand(transaction.command('list'), ['transaction list', 'transaction list --group payments --json'])
    .description('show transactions that wait for their producer')
    .option('--group <producerGroup>', 'only those of this producer group')
    .option('--max <count>', 'at most so many (default: 1,000)', parseCount(1))
    .action((options: ListOptions) => runWithClient(context, options, async (client) => {
      const { group: producerGroup, max } = options
      const transactions = await client.admin.listTransactions(given({ producerGroup, max }))
      await write(context, options.json === true ? formatJson(transactions) : formatTransactions(transactions))
    }))
}

function formatTransactions(transactions: readonly TransactionInfo[]): string {
  if (transactions.length === 0) return 'no open transactions\n'
  return formatTable(
    [
      { title: 'prepared' }, { title: 'transaction' }, { title: 'producer group' }, { title: 'checks', align: 'right' },
      { title: 'messages', align: 'right' }, { title: 'size', align: 'right' }, { title: 'topics' },
    ],
    transactions.map((transaction) => [
      formatTime(transaction.preparedMs), transaction.transactionId, transaction.producerGroup,
      formatCount(transaction.checkCount), formatCount(transaction.messageCount), formatBytes(transaction.byteCount),
      transaction.topics.join(', '),
    ]),
  )
}
