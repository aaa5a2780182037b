// `npm run bench:browser`: PocketMQ in Chromium beside the limits of its parts, on a profile that lies on the disk. It
// builds and serves the pages, runs the scenarios, reports, and leaves nothing behind.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describeMachine } from '../bench/machine.ts'
import { createProgress } from '../bench/progress.ts'
import { createDataFolder, findProjectFolder } from '../bench/project.ts'
import { parseOptions, type Options } from './options.ts'
import { servePages } from './pages.ts'
import { formatReport } from './report.ts'
import { runAll } from './run.ts'
import { judgeTargets } from './targets.ts'

const jsonFormat = 'pocketmq-bench-browser-1'

const parsed = parseOptions(process.argv.slice(2))
if ('options' in parsed) {
  process.exitCode = await main(parsed.options)
} else {
  ;(parsed.exitCode === 0 ? process.stdout : process.stderr).write(parsed.text)
  process.exitCode = parsed.exitCode
}

/** Runs the bench; returns the exit code: 0, or 1 when a case failed. */
async function main({ pace, scenarios, jsonFile, profileFolder }: Options): Promise<number> {
  const projectFolder = findProjectFolder()
  const data = createDataFolder(projectFolder)
  // Exiting runs no `finally`, so this one handler cleans up whichever way the process ends.
  process.once('exit', () => data.remove())
  for (const [signal, exitCode] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const) {
    process.once(signal, () => process.exit(exitCode))
  }
  if (profileFolder !== undefined) mkdirSync(profileFolder, { recursive: true })

  const progress = createProgress(process.stderr)
  const startedMs = performance.now()
  const machine = describeMachine()
  const pages = await servePages(projectFolder, join(data.path, 'pages'), profileFolder !== undefined)
  const outcome = await runAll({
    pace, scenarios, profileFolder, dataFolder: data.path, pageUrl: pages.url,
    onProgress: (step) => progress.show(`[${Math.round((performance.now() - startedMs) / 1_000)} s] ${step}`),
  })
  await pages.close()
  progress.clear()

  const { results } = outcome
  const notes = results.flatMap(({ scenario, system, load, failures }) =>
    [...new Set(failures)].map((failure) => `${scenario}, ${system}, ${load} FAILED: ${failure}`))
  if (data.inMemory) notes.push('no real disk was found for the profile: durable figures are those of memory')
  const targets = judgeTargets(results, pace)
  process.stdout.write(formatReport({ ...outcome, machine, scenarios, targets, notes }))
  if (jsonFile !== undefined) {
    const json = { format: jsonFormat, machine, pace, ...outcome, targets, notes }
    writeFileSync(jsonFile, `${JSON.stringify(json, undefined, 2)}\n`)
  }
  return results.some((result) => result.failures.length > 0) ? 1 : 0
}
