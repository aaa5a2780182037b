// `npm run soak`: the demo at full speed and the console's live charts beside it, in a real Chromium over a real relay, for
// ten minutes or as long as told; and whether their heaps, elements and listeners are after it what they were before. Ends
// with 1 where something grew.

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import Table from 'cli-table3'
import { describeMachine } from '../bench/machine.ts'
import { createProgress } from '../bench/progress.ts'
import { createDataFolder, findProjectFolder } from '../bench/project.ts'
import { growthsOf } from './growth.ts'
import { parseOptions, type SoakOptions } from './options.ts'
import { runSoak } from './run.ts'

const parsed = parseOptions(process.argv.slice(2))
if ('options' in parsed) {
  process.exitCode = await main(parsed.options)
} else {
  ;(parsed.exitCode === 0 ? process.stdout : process.stderr).write(parsed.text)
  process.exitCode = parsed.exitCode
}

async function main({ minutes, warmupMinutes, everySeconds }: SoakOptions): Promise<number> {
  const projectFolder = findProjectFolder()
  const tools = await import(pathToFileURL(join(projectFolder, 'tools/build.mjs')).href) as { ensurePagesBuilt(): void }
  tools.ensurePagesBuilt()
  const data = createDataFolder(projectFolder)
  process.once('exit', () => data.remove())
  const progress = createProgress(process.stderr)
  const { browser, packedCount, looks } = await runSoak({
    warmupMs: warmupMinutes * 60_000, measuredMs: minutes * 60_000, everyMs: everySeconds * 1_000, dataFolder: data.path,
    onProgress: (elapsedMs, packed, look) => {
      const heaps = look && `, heaps: demo ${mib(look.demo.objectBytes)}, console ${mib(look.console.objectBytes)} MiB`
      const elapsed = `${Math.round(elapsedMs / 1_000)} s of ${(minutes + warmupMinutes) * 60}`
      progress.show(`[${elapsed}] ${packed.toLocaleString('en-US')} orders packed${heaps ?? ''}`)
    },
  })
  progress.clear()

  const { cpu, coreCount, os, date } = describeMachine()
  const perSecond = Math.round(packedCount / minutes / 60)
  const growths = growthsOf(looks)
  const table = new Table({ head: ['', 'typical', 'grown', ''], style: { head: [], border: [] } })
  for (const { name, unit, typical, grown, isFlat } of growths) {
    const shown = (value: number): string => (unit === 'MiB' ? mib(value) : value.toFixed(0))
    table.push([`${name}, ${unit}`, shown(typical), shown(grown), isFlat ? 'flat' : 'GROWS'])
  }
  process.stdout.write(`
${cpu}, ${coreCount} cores, ${os}, ${browser}, ${date}
${minutes} minutes after ${warmupMinutes}: ${packedCount.toLocaleString('en-US')} orders packed and shown, \
${perSecond.toLocaleString('en-US')} a second; ${looks.length} looks

${table.toString()}
`)
  return growths.every(({ isFlat }) => isFlat) ? 0 : 1
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(2)
}
