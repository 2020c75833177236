/**
 * Set-up for every command of package.json, and then the command:
 *
 *   node test/setup.js [--python] [SCRIPT.ts [ARGUMENTS]]
 *
 * Installs the packages of the lock file where they are missing or old, with --python makes the virtual environment
 * of the readers (DuckDB, Polars, pandas), and runs the script with the Node that the project brings. Plain JavaScript
 * without a dependency, since it runs before there is one, on the Node that the machine has.
 *
 * The virtual environment is kept in ${XDG_CACHE_HOME:-~/.cache}/l2cap, by the hash of its requirements.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { constants, homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'l2cap')

/** Runs a part that takes a while, says so, and ends everything where it fails. */
function part(name, command, args, options = {}) {
  const started = Date.now()
  process.stderr.write(`set-up: ${name} …\n`)
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options })
  if (status !== 0) {
    process.stderr.write(
      `set-up: ${name} failed${error ? `: ${error.message}` : ''} (${command} ${args.join(' ')})\n`,
    )
    process.exit(1)
  }
  process.stderr.write(`set-up: ${name}: ${((Date.now() - started) / 1000).toFixed(1)} s\n`)
}

function packages() {
  const lock = join(root, 'package-lock.json')
  const stamp = join(root, 'node_modules', '.l2cap-lock')
  const hash = createHash('sha256').update(readFileSync(lock)).digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return
  part('packages (npm ci)', 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'])
  writeFileSync(stamp, hash)
}

function python() {
  const requirements = join(root, 'test', 'readers', 'requirements.txt')
  const hash = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 16)
  const ready = join(cache, `venv-${hash}`)
  if (existsSync(join(ready, 'bin', 'python'))) return
  const making = `${ready}-${process.pid}`
  mkdirSync(cache, { recursive: true })
  rmSync(making, { recursive: true, force: true })
  part('Python environment', 'python3', ['-m', 'venv', '--copies', making])
  part('Python readers (DuckDB, Polars, pandas)', join(making, 'bin', 'python'), [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--disable-pip-version-check',
    '-r',
    requirements,
  ])
  try {
    renameSync(making, ready)
  } catch (error) {
    // another run made the same environment meanwhile: use that one
    if (!existsSync(ready)) throw error
    rmSync(making, { recursive: true, force: true })
  }
}

/** Runs the script as if it had been started instead of this file: its signals, its exit code. */
function start(script, args) {
  const bin = join(root, 'node_modules', '.bin')
  const child = spawn(join(root, 'node_modules', 'node', 'bin', 'node'), [script, ...args], {
    stdio: 'inherit',
    // tools such as tsc are found by name, also where npm did not start us
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
  })
  // a terminal's Ctrl-C reaches the child by itself; it decides when to end
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
}

const args = process.argv.slice(2)
const withPython = args[0] === '--python'
const [script, ...rest] = withPython ? args.slice(1) : args
packages()
if (withPython) python()
if (script !== undefined) start(script, rest)
