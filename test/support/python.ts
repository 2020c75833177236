import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '../..')
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

/**
 * The interpreter of an environment that the set-up made: that of `test/readers`, or of `examples`. Throws where it is
 * not there.
 */
export function interpreter(folder: 'test/readers' | 'examples'): string {
  const hash = createHash('sha256')
    .update(readFileSync(join(root, folder, 'requirements.txt')))
    .digest('hex')
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'l2cap')
  const python = join(cache, `venv-${hash.slice(0, 16)}`, 'bin', 'python')
  if (!existsSync(python)) throw new Error(`${python} is missing: run "node test/setup.js --python" first`)
  return python
}

/** Runs a script of test/readers and gives the JSON it prints. Throws with its own words where it fails. */
export async function runReader(script: string, args: readonly string[]): Promise<unknown> {
  try {
    const { stdout } = await run(interpreter('test/readers'), [join(root, 'test/readers', script), ...args], {
      maxBuffer: OUTPUT_BYTES_MAX,
    })
    return JSON.parse(stdout)
  } catch (error) {
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
    throw new Error(`${script} ${args.join(' ')} failed:\n${stderr.slice(-3000) || String(error)}`)
  }
}
