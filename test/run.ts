/**
 * `npm test`: every test. Folders of test/ may be named to run those alone: `npm test -- session book`.
 */
import { readdirSync } from 'node:fs'
import { runTests, testFiles } from './support/suite.ts'

/** Folders without tests of their own. */
const NO_TESTS = ['support', 'bench', 'readers', 'demo', 'mutations']

const named = process.argv.slice(2)
const all = readdirSync(import.meta.dirname, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !NO_TESTS.includes(entry.name))
  .map((entry) => entry.name)
const unknown = named.filter((name) => !all.includes(name))
if (unknown.length > 0) {
  process.stderr.write(`no such test folder: ${unknown.join(', ')}; there are ${all.join(', ')}\n`)
  process.exit(2)
}
const started = performance.now()
const passed = await runTests(testFiles(named.length > 0 ? named : all))
process.stdout.write(
  `\n${passed ? 'all tests passed' : 'tests FAILED'} in ${((performance.now() - started) / 1000).toFixed(0)} s\n`,
)
process.exit(passed ? 0 : 1)
