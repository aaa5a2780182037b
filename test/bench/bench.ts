// `npm run bench`: PocketMQ beside other systems and beside the limits of its parts. This is the program in all of
// its roles; the main one checks what can be measured here, runs it, reports, and leaves nothing behind.

import { writeFileSync } from 'node:fs'

import { Children } from './children.ts'
import { createDataFolder, findProjectFolder } from './project.ts'
import { createProgress } from './progress.ts'
import { describeMachine } from './machine.ts'
import { formatReport } from './report.ts'
import { installPeers } from './peers.ts'
import { judgeTargets } from './targets.ts'
import { parseOptions } from './options.ts'
import { readRole, runRole } from './role.ts'
import { runAll } from './run.ts'
import { selectSystems } from './selection.ts'
import { systems } from './systems/index.ts'
import type { Options } from './options.ts'

const jsonFormat = 'pocketmq-bench-1'

const role = readRole()
if (role !== undefined) {
  await runRole(role)
} else {
  const parsed = parseOptions(
    process.argv.slice(2),
    systems.map((system) => system.name),
  )
  if ('options' in parsed) {
    process.exitCode = await main(parsed.options)
  } else {
    ;(parsed.exitCode === 0 ? process.stdout : process.stderr).write(parsed.text)
    process.exitCode = parsed.exitCode
  }
}

/** Runs the bench; returns the exit code: 0, or 1 when a case failed. */
async function main(options: Options): Promise<number> {
  const children = new Children()
  const data = createDataFolder(findProjectFolder())
  // Exiting runs no `finally`, so this one handler cleans up whichever way the process ends.
  process.once('exit', () => {
    children.killAll()
    data.remove()
  })
  for (const [signal, exitCode] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const) {
    process.once(signal, () => process.exit(exitCode))
  }

  const progress = createProgress(process.stderr)
  const startedAt = performance.now()
  const machine = describeMachine()
  const { measurable, notes } = await selectSystems(options, installPeers, progress.show)
  if (data.inMemory) notes.push('no real disk was found for the data: synced figures are those of memory')
  const results = await runAll({
    options,
    systems: measurable,
    dataFolder: data.path,
    children,
    onProgress(step, doneCount, totalCount) {
      const elapsedS = Math.round((performance.now() - startedAt) / 1000)
      progress.show(`[${doneCount + 1}/${totalCount}, ${elapsedS} s] ${step}`)
    },
  })
  progress.clear()

  for (const { scenario, system, bodyBytes, failures } of results) {
    for (const failure of new Set(failures)) notes.push(`${scenario}, ${bodyBytes} B, ${system} FAILED: ${failure}`)
  }
  const targets = judgeTargets(results, options.pace)
  process.stdout.write(formatReport({ machine, results, targets, notes, systems }))
  if (options.jsonFile !== undefined) {
    const { pace, scenarios } = options
    const json = { format: jsonFormat, machine, pace, scenarios, results, targets, notes }
    writeFileSync(options.jsonFile, `${JSON.stringify(json, undefined, 2)}\n`)
  }
  return results.some((result) => result.failures.length > 0) ? 1 : 0
}
