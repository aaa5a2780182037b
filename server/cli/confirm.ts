// Asking before something is destroyed: by typing its name, or by repeating it on the command line.

import { createInterface } from 'node:readline/promises'
import type { CommandContext } from './context.ts'
import { UsageError } from './failure.ts'

/** Why `--yes` does not fit; undefined where it does or was not given. */
export function faultOfYes(name: string, yes: string | undefined, what: string): string | undefined {
  return yes === undefined || yes === name ? undefined : `--yes says '${yes}', the ${what} is '${name}': nothing was deleted`
}

/** Resolves when somebody has typed the name; throws UsageError where not, or where nobody is there to type. */
export async function confirm(
  context: CommandContext, name: string, what: string, consequence: string, signal: AbortSignal,
): Promise<void> {
  if (context.input.isTTY !== true) throw new UsageError(`nobody is here to confirm; delete with --yes ${name}`)
  const terminal = createInterface({ input: context.input, output: context.errors })
  // A terminal in line mode takes Ctrl-C for itself.
  const interrupted = new Promise<never>((_, reject) => {
    terminal.once('SIGINT', () => {
      process.kill(process.pid, 'SIGINT')
      reject(new UsageError('interrupted: nothing was deleted'))
    })
  })
  try {
    const question = `This deletes ${consequence}. Type the ${what}’s name to go on: `
    const answer = (await Promise.race([terminal.question(question, { signal }), interrupted])).trim()
    if (answer !== name) throw new UsageError(`'${answer}' is not '${name}': nothing was deleted`)
  } finally {
    terminal.close()
  }
}
