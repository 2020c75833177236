/**
 * `npm test`: every test but those that take minutes, which `npm run test:long` runs. Folders of test/ may be named to
 * run those alone: `npm test -- session book`.
 */
import { readdirSync } from 'node:fs'
import { longTestFiles, runTests, testFiles } from './support/suite.ts'

/** Folders without tests of their own; those on a cluster are run by `npm run test:cluster`. */
const NO_TESTS = ['support', 'bench', 'readers', 'demo', 'mutations', 'kubernetes']

const long = process.argv.includes('--long')
const named = process.argv.slice(2).filter((argument) => argument !== '--long')
const all = readdirSync(import.meta.dirname, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !NO_TESTS.includes(entry.name))
  .map((entry) => entry.name)
const unknown = named.filter((name) => !all.includes(name))
if (unknown.length > 0) {
  process.stderr.write(`no such test folder: ${unknown.join(', ')}; there are ${all.join(', ')}\n`)
  process.exit(2)
}
const started = performance.now()
const folders = named.length > 0 ? named : all
const passed = await runTests(long ? longTestFiles(folders) : testFiles(folders))
process.stdout.write(
  `\n${passed ? 'all tests passed' : 'tests FAILED'} in ${((performance.now() - started) / 1000).toFixed(0)} s\n`,
)
process.exit(passed ? 0 : 1)
