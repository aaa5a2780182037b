// `pocketmq request`: a message, and the reply of whoever handles it first.

import type { Command } from 'commander'
import { bytes } from '../../core/client/codec.ts'
import { asClientCommand, type ClientCommandOptions, runWithClient } from './client-command.ts'
import { type CommandContext, createProcessContext } from './context.ts'
import { bodyPreview, bodyText } from './message-view.ts'
import { formatJson, write } from './output.ts'
import { collect, given, parseDurationMs } from './values.ts'

interface Options extends ClientCommandOptions {
  readonly tag?: string
  readonly key?: readonly string[]
  readonly group?: string
  readonly timeout?: number
}

/** Adds `request` to the program. */
export function registerRequestCommand(program: Command, context: CommandContext = createProcessContext()): void {
  asClientCommand(program.command('request'), ['request quotes \'{"symbol":"PQ"}\' --timeout 5s'])
    .description('send a message and print the reply to it; `consume --reply` answers')
    .argument('<topic>', 'where to')
    .argument('<body>', 'the body')
    .option('--tag <tag>', 'the one word consumers filter by')
    .option('--key <key>', 'a word it is found by; may be repeated', collect)
    .option('--group <messageGroup>', 'its message group, which a FIFO topic needs')
    .option('--timeout <duration>', 'how long to wait (default: 30s)', parseDurationMs)
    .action((name: string, body: string, options: Options) => runWithClient(context, options, async (client, signal) => {
      const { tag, key: keys, group: messageGroup, timeout } = options
      const topic = client.topic(name, { codec: bytes })
      const reply = await topic.request<Uint8Array>(Buffer.from(body), {
        signal, ...given({ tag, keys, messageGroup, timeout }),
      })
      const text = bodyText(reply.body)
      const json = text === undefined ? { bodyBase64: Buffer.from(reply.body).toString('base64') } : { body: text }
      await write(context, options.json === true ? formatJson({ tag: reply.tag, ...json }) : `${bodyPreview(reply.body)}\n`)
    }))
}
