// Which browsers of this machine the tests and benchmarks drive, and how they are started. Plain Node, so that the
// test runner's configuration, the tests and the tools all ask the same file. Looks only; ensure-browser.mjs installs.

import { accessSync, constants } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import process from 'node:process'

/**
 * Switches for Chromium: nothing but the page under test talks to the network, and it runs as root and in containers
 * too. Only pages of this repository are opened in it.
 */
export const chromiumArgs = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
]

/** Names on Linux's PATH, best first. */
const chromiumNames = [
  'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome', 'microsoft-edge', 'microsoft-edge-stable',
]
const firefoxNames = ['firefox-esr', 'firefox']

/**
 * What finding a browser looks at; the defaults are this machine.
 * @typedef {object} Surroundings
 * @property {Readonly<Record<string, string | undefined>>} env
 * @property {string} platform as process.platform
 * @property {(path: string) => boolean} isProgram
 * @property {() => string | undefined} playwrightChromium where Playwright's own browser is, or would be
 */

/** @type {Surroundings} */
const thisMachine = { env: process.env, platform: process.platform, isProgram, playwrightChromium }

/**
 * The program of a Chromium, Chrome or Edge: POCKETMQ_CHROMIUM, else one of the system, else Playwright's own.
 * Undefined where there is none; a POCKETMQ_CHROMIUM that is no program hides the others.
 * @param {Partial<Surroundings>} [surroundings]
 * @returns {string | undefined}
 */
export function findChromium(surroundings = {}) {
  const { env, platform, isProgram, playwrightChromium } = { ...thisMachine, ...surroundings }
  if (env.POCKETMQ_CHROMIUM) return isProgram(env.POCKETMQ_CHROMIUM) ? env.POCKETMQ_CHROMIUM : undefined
  const found = candidates(chromiumNames, chromiumPaths(env), env, platform).find(isProgram)
  if (found !== undefined) return found
  const own = playwrightChromium()
  return own !== undefined && isProgram(own) ? own : undefined
}

/**
 * The program of a Firefox: POCKETMQ_FIREFOX, else one of the system. None is ever installed.
 * @param {Partial<Surroundings>} [surroundings]
 * @returns {string | undefined}
 */
export function findFirefox(surroundings = {}) {
  const { env, platform, isProgram } = { ...thisMachine, ...surroundings }
  if (env.POCKETMQ_FIREFOX) return isProgram(env.POCKETMQ_FIREFOX) ? env.POCKETMQ_FIREFOX : undefined
  return candidates(firefoxNames, firefoxPaths(env), env, platform).find(isProgram)
}

/**
 * Options of Playwright's `chromium.launch` and `launchPersistentContext`.
 * @param {string} executablePath
 */
export function chromiumLaunch(executablePath) {
  return { executablePath, args: [...chromiumArgs], headless: true }
}

/**
 * Options of Playwright's `firefox.launch` for the stock Firefox of a system, which it drives over WebDriver BiDi.
 * Playwright up to 1.64.1 can; 1.65.1 asks for a command that Firefox 153 does not know.
 * @param {string} executablePath
 */
export function firefoxLaunch(executablePath) {
  return {
    channel: 'moz-firefox', executablePath, headless: true,
    // Pages' clocks are blurred by 2 ms otherwise, which is longer than a message takes from tab to tab: histories of several
    // tabs would tell what happened in a wrong order.
    firefoxUserPrefs: { 'privacy.reduceTimerPrecision': false },
  }
}

/**
 * @param {readonly string[]} names
 * @param {{ darwin: readonly string[], win32: readonly string[] }} paths
 * @param {Surroundings['env']} env
 * @param {string} platform
 */
function candidates(names, paths, env, platform) {
  if (platform === 'darwin') return paths.darwin
  if (platform === 'win32') return paths.win32
  const directories = (env.PATH ?? '').split(delimiter).filter((directory) => directory !== '')
  return names.flatMap((name) => directories.map((directory) => join(directory, name)))
}

/** @param {Surroundings['env']} env */
function chromiumPaths(env) {
  return {
    darwin: ['Google Chrome', 'Chromium', 'Microsoft Edge'].map((name) => `/Applications/${name}.app/Contents/MacOS/${name}`),
    win32: programFolders(env).flatMap((folder) => [
      join(folder, 'Google/Chrome/Application/chrome.exe'),
      join(folder, 'Chromium/Application/chrome.exe'),
      join(folder, 'Microsoft/Edge/Application/msedge.exe'),
    ]),
  }
}

/** @param {Surroundings['env']} env */
function firefoxPaths(env) {
  return {
    darwin: ['/Applications/Firefox.app/Contents/MacOS/firefox'],
    win32: programFolders(env).map((folder) => join(folder, 'Mozilla Firefox/firefox.exe')),
  }
}

/** @param {Surroundings['env']} env @returns {string[]} */
function programFolders(env) {
  return [env.PROGRAMFILES, env['PROGRAMFILES(X86)'], env.LOCALAPPDATA].flatMap((folder) => folder ?? [])
}

/** @param {string} path */
function isProgram(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Loaded only where no other browser is found: it takes a while. */
function playwrightChromium() {
  try {
    return createRequire(import.meta.url)('playwright-core').chromium.executablePath()
  } catch {
    return undefined
  }
}
