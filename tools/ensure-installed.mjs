// Makes sure that node_modules holds what package-lock.json asks for, and installs it when not, so that a fresh
// clone needs no step before `npm start` or `npm test`. Plain Node, no dependencies: it runs before there are any.
// Everything it prints goes to stderr; stdout belongs to the program that follows.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { argv, env, execPath, exit, platform, stderr, versions } from 'node:process'
import { fileURLToPath } from 'node:url'

/** The directory of package.json, without a trailing slash. */
export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '')

const nodeVersionMin = [20, 19]

/** True for the file that Node was started with. @param {string} moduleUrl the caller's import.meta.url */
export function isMain(moduleUrl) {
  return argv[1] !== undefined && realpathSync(argv[1]) === fileURLToPath(moduleUrl)
}

/** Prints `message` and ends the process with exit code 1. @type {(message: string) => never} */
export function fail(message) {
  stderr.write(`pocketmq: ${message}\n`)
  exit(1)
}

/** Installs what is missing or of another version; ends the process when that fails. */
export function ensureInstalled() {
  if (!isNodeNewEnough(versions.node)) {
    fail(`Node ${nodeVersionMin.join('.')} or newer is needed, this is ${versions.node}`)
  }
  if (isInstalled(root)) return
  stderr.write('Installing the dependencies (once, about 10 s) ...\n')
  const startedMs = Date.now()
  const status = runNpm(['ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'])
  if (status !== 0) {
    fail('could not install the dependencies; npm gives the reason above. Once the network is there, try again')
  }
  if (!isInstalled(root)) fail('node_modules differs from package-lock.json still. Delete node_modules and try again')
  stderr.write(`Installed in ${((Date.now() - startedMs) / 1000).toFixed(1)} s\n`)
}

/** @param {string} version */
export function isNodeNewEnough(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [majorMin = 0, minorMin = 0] = nodeVersionMin
  return major > majorMin || (major === majorMin && minor >= minorMin)
}

/**
 * True when every package of the lockfile is there in the locked version. npm keeps its own record of what it
 * installed in node_modules/.package-lock.json; packages for other platforms are optional and may be missing.
 * @param {string} directory of package-lock.json
 */
export function isInstalled(directory) {
  const wanted = readPackages(join(directory, 'package-lock.json'))
  const present = readPackages(join(directory, 'node_modules', '.package-lock.json'))
  if (wanted === undefined) return fail('package-lock.json is missing or damaged')
  if (present === undefined) return false
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true
    const found = present[path]
    if (found === undefined) return entry.optional === true
    return found.version === entry.version && existsSync(join(directory, path, 'package.json'))
  })
}

/**
 * @param {string} path
 * @returns {Record<string, { version?: string, optional?: boolean }> | undefined}
 */
function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages
  } catch {
    return undefined
  }
}

/** Exit code of npm. @param {readonly string[]} args */
function runNpm(args) {
  // Settings of an npm around this one (`npm pack --dry-run`, `npm install --global .`) are not meant for this one.
  const foreign = /^npm_config_(dry_run|global|location|omit|include|production|only|package_lock(_only)?)$/i
  const childEnv = Object.fromEntries(Object.entries(env).filter(([name]) => !foreign.test(name)))
  const npmCli = env.npm_execpath
  const isNpm = npmCli !== undefined && /npm-cli\.c?js$/.test(npmCli)
  const [command, ...first] = isNpm ? [execPath, npmCli] : [platform === 'win32' ? 'npm.cmd' : 'npm']
  const result = spawnSync(/** @type {string} */ (command), [...first, ...args], {
    cwd: root,
    env: childEnv,
    // npm's report of added packages is noise here, and stdout is not ours.
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: !isNpm && platform === 'win32',
  })
  if (result.error !== undefined) stderr.write(`pocketmq: cannot run npm: ${result.error.message}\n`)
  return result.status ?? 1
}

if (isMain(import.meta.url)) ensureInstalled()
