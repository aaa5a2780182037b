// Makes sure that there is a Chromium for the tests that need a real browser, and installs one where there is none, so
// that `npm test` needs no step before it. Everything it prints goes to stderr. Firefox is used where it is, not installed.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { findChromium } from './browsers.mjs'
import { fail, isMain, root } from './ensure-installed.mjs'

/** A way to come by a browser: what is said, and the commands, each of which must succeed. */
/** @typedef {{ readonly says: string, readonly commands: readonly (readonly string[])[] }} Way */

const advice = 'Install Chrome, Chromium or Edge, or set POCKETMQ_CHROMIUM to the path of one; then try again. ' +
  'Tests that need no browser: npx vitest run --project node'

/**
 * The ways to try, in order.
 * @param {{ readonly isRoot: boolean, readonly isDebian: boolean }} machine
 * @returns {Way[]}
 */
export function installWays({ isRoot, isDebian }) {
  const playwright = [process.execPath, join(root, 'node_modules/playwright/cli.js'), 'install']
  const ways = [{
    says: "Installing Playwright's Chromium",
    // With the libraries it needs, where they may be installed; they are known for Debian and Ubuntu only.
    commands: [[...playwright, ...(isRoot ? ['--with-deps'] : []), 'chromium']],
  }]
  if (isRoot && isDebian) {
    ways.unshift({
      says: "Installing Debian's chromium",
      commands: [['apt-get', 'update', '-qq'], ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'chromium']],
    })
  }
  return ways
}

/**
 * Returns the path of a browser; ends the process with what to do when there can't be one.
 * @param {object} [hands]
 * @param {() => string | undefined} [hands.find]
 * @param {(command: readonly string[]) => boolean} [hands.run] true when it succeeded
 * @param {Readonly<Record<string, string | undefined>>} [hands.env]
 * @param {(message: string) => never} [hands.giveUp]
 * @returns {string}
 */
export function ensureBrowser({ find = findChromium, run = runCommand, env = process.env, giveUp = fail } = {}) {
  const found = find()
  if (found !== undefined) return found
  if (env.POCKETMQ_CHROMIUM) return giveUp(`POCKETMQ_CHROMIUM is ${env.POCKETMQ_CHROMIUM}, which is no program. ${advice}`)
  for (const { says, commands } of installWays({ isRoot: process.getuid?.() === 0, isDebian: isDebian() })) {
    process.stderr.write(`No browser for the tests. ${says} (once, a minute or two) ...\n`)
    const installed = commands.every(run) ? find() : undefined
    if (installed === undefined) continue
    process.stderr.write(`The tests use ${installed}\n`)
    return installed
  }
  return giveUp(`no browser for the tests, and none could be installed; the reason is above. ${advice}`)
}

/** Debian itself: the package of that name in Ubuntu only fetches a snap. */
function isDebian() {
  try {
    return /^ID=debian$/m.test(readFileSync('/etc/os-release', 'utf8'))
  } catch {
    return false
  }
}

/** @param {readonly string[]} command */
function runCommand([program = '', ...args]) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  // What the installers print is noise unless they fail, and stdout is not ours.
  const { status, error, stdout, stderr } = spawnSync(program, args, { cwd: root, env, encoding: 'utf8', maxBuffer: 2 ** 26 })
  if (status === 0) return true
  process.stderr.write(`${stdout ?? ''}${stderr ?? ''}${error === undefined ? '' : `${error.message}\n`}`)
  return false
}

if (isMain(import.meta.url)) ensureBrowser()
