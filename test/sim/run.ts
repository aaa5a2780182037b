// `npm run sim -- --seed N` runs the world of one seed, `--seeds K` the worlds of K seeds from N on. Ends with 0 when
// all were clean and with 1 when a promise was broken: then it prints what, the last that happened, and how to replay.

import { Command, InvalidArgumentError, Option } from 'commander'
import { execFileSync } from 'node:child_process'
import process from 'node:process'
import { setFlagsFromString } from 'node:v8'
import { type DevicePlantedBugName, devicePlantedBugs } from './device-planted.ts'
import { type DeviceOutcome, runDeviceWorld } from './device-world.ts'
import { type PlantedBugName, plantedBugs } from './planted-bugs.ts'
import { type Outcome, runWorld } from './world.ts'

interface Options {
  readonly seed: number
  readonly seeds: number
  readonly device?: boolean
  readonly plant?: PlantedBugName | DevicePlantedBugName
  readonly failuresMax: number
  readonly lines: number
  readonly about?: string
}

const options = new Command('npm run sim --')
  .description('Runs relay, disk, network and clients in one thread from one seed, with faults, and judges them.')
  .option('--device', 'the world of a browser instead: tabs, engines, their disk, and a relay')
  .option('--seed <number>', 'the first seed', wholeNumber, 1)
  .option('--seeds <count>', 'how many seeds, one after the other', wholeNumber, 1)
  .option('--failures-max <count>', 'stops after so many failing seeds', wholeNumber, 1)
  .option('--lines <count>', 'how many lines of the trace are shown of a failing seed', wholeNumber, 40)
  .option('--about <text>', 'tells every event of the histories in whose words this text is')
  .addOption(new Option('--plant <bug>', 'with this bug, to see it caught').choices([
    ...new Set([...Object.keys(plantedBugs), ...Object.keys(devicePlantedBugs)]),
  ]))
  .allowExcessArguments(false)
  .parse()
  .opts<Options>()

// Stacks of errors that are expected cost more than the errors; replaying one seed has them.
if (options.seeds > 1) Error.stackTraceLimit = 0

// A world is many functions that run a little: the compiler would take a third of the time to make fast what is hardly
// used. The rest of it, a heap in which such code lives until the next seed needs it, is in package.json.
setFlagsFromString('--interrupt-budget=66000')

const total = new Map<string, number>()
const struck = new Map<string, number>()
const failed: number[] = []
const startMs = performance.now()
const startUsage = process.cpuUsage()
let runCount = 0
const { about } = options
const told = about === undefined ? {} : {
  told: (atMs: number, event: object): void => {
    const text = JSON.stringify(event)
    if (text.includes(about)) process.stdout.write(`${atMs.toFixed(3).padStart(11)} ${text}\n`)
  },
}
for (let seed = options.seed; seed < options.seed + options.seeds; seed++) {
  const outcome = await run({ seed, traceLineCountMax: options.lines, ...told })
  runCount++
  for (const [name, count] of Object.entries(outcome.counts)) total.set(name, (total.get(name) ?? 0) + count)
  for (const [kind, count] of outcome.faults) struck.set(kind, (struck.get(kind) ?? 0) + count)
  if (options.seeds === 1) process.stdout.write(`trace ${outcome.traceHash}, ${tell(Object.entries(outcome.counts))}\n`)
  if (outcome.findings.length === 0) continue
  failed.push(seed)
  tellFailure(outcome)
  if (failed.length >= options.failuresMax) break
}
const seconds = (performance.now() - startMs) / 1_000
const { user, system } = process.cpuUsage(startUsage)
const perCpuSecond = runCount / ((user + system) / 1e6)
const pace = `${runCount} seeds in ${seconds.toFixed(1)} s, ${(runCount / seconds).toFixed(1)} a second, ` +
  `${perCpuSecond.toFixed(1)} per second of CPU time`
const verdict = failed.length === 0 ? 'all clean' : `${failed.length} failed: ${failed.join(', ')}`
process.stdout.write(`${pace}, ${verdict}\n`)
if (runCount > 1) process.stdout.write(`in all: ${tell(total)}\nfaults: ${tell(struck)}\n`)
process.exitCode = failed.length === 0 ? 0 : 1

function run(of: { readonly seed: number; readonly traceLineCountMax: number }): Promise<Outcome | DeviceOutcome> {
  const { plant, device = false } = options
  if (plant !== undefined && !Object.hasOwn(device ? devicePlantedBugs : plantedBugs, plant)) {
    throw new Error(`${plant} is a bug of the other world, ${device ? 'without' : 'with'} --device`)
  }
  const planted = plant === undefined ? {} : { planted: plant as never }
  return device ? runDeviceWorld({ ...of, ...planted }) : runWorld({ ...of, ...planted })
}

function tellFailure({ seed, findings, traceTail, faults, traceHash }: Outcome | DeviceOutcome): void {
  const lines = [`seed ${seed} FAILED, trace ${traceHash}, faults: ${tell(faults)}`]
  lines.push(...traceTail.map((line) => `  ${line}`))
  for (const { checker, violations } of findings) {
    lines.push(`violated: ${checker} (${violations.length})`, ...violations.slice(0, 10).map(({ text }) => `  ${text}`))
  }
  const plant = options.plant === undefined ? '' : ` --plant ${options.plant}`
  const device = options.device === true ? ' --device' : ''
  lines.push(`commit: ${commit()}`, `replay: npm run sim --${device} --seed ${seed}${plant}`)
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** Which sources a seed failed on: on others it may be another run. */
function commit(): string {
  const git = (...args: readonly string[]): string => execFileSync('git', args, { encoding: 'utf8', stdio: 'pipe' }).trim()
  try {
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : ', with changes')
  } catch {
    return 'unknown, as this is no checkout'
  }
}

function tell(counts: Iterable<readonly [string, number]>): string {
  return [...counts].map(([name, count]) => `${name} ${count}`).join(', ')
}

function wholeNumber(given: string): number {
  const number = Number(given)
  if (!Number.isSafeInteger(number) || number < 0) throw new InvalidArgumentError('a whole number is expected')
  return number
}
