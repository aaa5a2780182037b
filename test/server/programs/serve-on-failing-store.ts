// `pocketmq serve` on a store in memory that goes wrong: TEST_FAIL_AT is the number of the commit, counted from 1, and
// TEST_FAILURE what happens then. Only tests start it.

import { Command } from 'commander'
import type { CommitOutcome, Store } from '../../../core/ports/store.ts'
import { createMemoryStore } from '../../../core/storage/memory-store.ts'
import { registerServeCommand } from '../../../server/cli/serve-command.ts'
import { createSystemClock } from '../../../server/system.ts'

const cause = new Error('EIO: i/o error, fdatasync')

const failures: Readonly<Record<string, (answer: (outcome: CommitOutcome) => void) => void>> = {
  'not written': (answer) => setImmediate(() => answer({ kind: 'not-written', reason: 'error', cause })),
  'unknown': (answer) => setImmediate(() => answer({ kind: 'unknown', cause })),
  'no answer': () => {},
  'bug': () => {
    setImmediate(() => {
      throw new Error('a bug of this test')
    })
  },
}

const memory = createMemoryStore({ clock: createSystemClock() })
let commitCount = 0
const store: Store = {
  read: (range, answer) => memory.read(range, answer),
  commit(writes, answer) {
    commitCount++
    if (commitCount === Number(process.env.TEST_FAIL_AT)) failures[process.env.TEST_FAILURE ?? '']?.(answer)
    else memory.commit(writes, answer)
  },
  space: () => memory.space(),
  close: () => memory.close(),
}

const program = new Command('pocketmq')
registerServeCommand(program, { store })
await program.parseAsync()
