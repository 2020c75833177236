import { readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { runGroups } from './passes.ts'

// where a test gives no credentials the SDK must not ask the cloud's machine for some
process.env['AWS_EC2_METADATA_DISABLED'] = 'true'

const root = resolve(import.meta.dirname, '../..')

/** Files at a time: two cores, and tests of real processes wait for most of their time. */
const CONCURRENCY = 3

/** Their tests share one API server, which is started before them. */
const NEEDS_CLUSTER = /\/test\/(cluster|operator|e2e|crds|chart)\//

/** Tests that take minutes: not for every save, and run by `npm run test:long`. */
const LONG = '.long.test.ts'

/** Test files below the folders of test/, sorted. Throws where a folder holds none: a suite must not be empty. */
export function testFiles(folders: readonly string[]): string[] {
  return folders.flatMap((folder) => {
    const files = filesIn(folder).filter((file) => !file.endsWith(LONG))
    if (files.length === 0) throw new Error(`test/${folder} holds no tests`)
    return files
  })
}

/** The test files of these folders that take minutes, sorted. Throws where there are none. */
export function longTestFiles(folders: readonly string[]): string[] {
  const files = folders.flatMap(filesIn).filter((file) => file.endsWith(LONG))
  if (files.length === 0) throw new Error(`no long tests in ${folders.join(', ')}`)
  return files
}

function filesIn(folder: string): string[] {
  const dir = join(root, 'test', folder)
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(dir, name))
    .sort()
}

/**
 * Runs test files with the report on standard output. What was skipped is named in one closing line, and is a
 * failure under CI. Returns whether all passed.
 */
export async function runTests(files: readonly string[]): Promise<boolean> {
  if (!files.some((file) => NEEDS_CLUSTER.test(file))) return await report(files)
  const { shareControlPlane } = await import('../cluster/shared.ts')
  const started = performance.now()
  const end = await shareControlPlane()
  process.stdout.write(`API server for tests: ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
  try {
    return await report(files)
  } finally {
    await end()
  }
}

async function report(files: readonly string[]): Promise<boolean> {
  const { passed, skipped } = await runGroups([{ files, atOnce: CONCURRENCY }])
  if (skipped.length === 0) return passed
  const names = skipped.map(({ name, why }) => `${name} (${why})`)
  process.stdout.write(`\nskipped on this machine: ${names.join('; ')}\n`)
  return passed && process.env['CI'] === undefined
}
