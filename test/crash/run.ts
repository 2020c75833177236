/**
 * `npm run test:crash`: the life of test/crash/syscalls.test.ts cut short at all of its points, where `npm test` tries
 * some. CRASH_SEED makes a run again, CRASH_POINTS another number of points.
 */
import { join } from 'node:path'
import { runTests } from '../support/suite.ts'
import { crashSeed } from './world.ts'

process.env['CRASH_POINTS'] ??= 'all'
// the tests run in a process of their own
process.env['CRASH_SEED'] ??= String(crashSeed())
process.stdout.write(
  `crash points: ${process.env['CRASH_POINTS']}, CRASH_SEED=${process.env['CRASH_SEED']}\n`,
)
const started = performance.now()
const passed = await runTests([join(import.meta.dirname, 'syscalls.test.ts')])
const seconds = ((performance.now() - started) / 1000).toFixed(0)
process.stdout.write(`\n${passed ? 'all crash points passed' : 'crash points FAILED'} in ${seconds} s\n`)
process.exit(passed ? 0 : 1)
