// Ends a browser as a power switch does: every process of its profile at once, without a word.

import { execFileSync } from 'node:child_process'
import { kill } from 'node:process'
import type { BrowserContext } from 'playwright-core'
import type { Profile } from './browsers.ts'

/** Resolves when the driver has seen that it is gone. */
export async function killBrowser(context: BrowserContext, { directory }: Profile): Promise<void> {
  const closed = new Promise<void>((resolve) => context.once('close', () => resolve()))
  const processes = execFileSync('ps', ['-axww', '-o', 'pid=,command='], { encoding: 'utf8' })
  for (const line of processes.split('\n')) {
    // The profile's folder has a name that nothing else has.
    if (!line.includes(directory)) continue
    try {
      kill(Number.parseInt(line, 10), 'SIGKILL')
    } catch {
      // It has just ended by itself, with its parent.
    }
  }
  await closed
}
