// Prints the closing line of a CI run, `N passed, N failed`, from the JSON report of vitest. A test file that does
// not even load has no tests to count, so it counts as one failure. Exit code 1 when anything failed.
// Usage: node test-summary.mjs REPORT.json

import { readFileSync } from 'node:fs'
import { argv, exit, stdout } from 'node:process'

/** @typedef {{ status: string, assertionResults: readonly { status: string }[] }} FileResult */

/** @param {{ testResults: readonly FileResult[] }} report */
function countResults(report) {
  let passedCount = 0
  let failedCount = 0
  for (const file of report.testResults) {
    const failedInFile = file.assertionResults.filter((test) => test.status === 'failed').length
    passedCount += file.assertionResults.filter((test) => test.status === 'passed').length
    failedCount += failedInFile === 0 && file.status === 'failed' ? 1 : failedInFile
  }
  return { passedCount, failedCount }
}

/** No report means that the runner itself broke. @param {string | undefined} path */
function readReport(path) {
  try {
    return JSON.parse(readFileSync(path ?? '', 'utf8'))
  } catch {
    return { testResults: [{ status: 'failed', assertionResults: [] }] }
  }
}

const { passedCount, failedCount } = countResults(readReport(argv[2]))
stdout.write(`${passedCount} passed, ${failedCount} failed\n`)
exit(failedCount === 0 && passedCount > 0 ? 0 : 1)
