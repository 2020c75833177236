/**
 * Set-up for every command of package.json, and then the command:
 *
 *   node test/setup.js [--python] [--s3] [SCRIPT.ts [ARGUMENTS]]
 *
 * Installs the packages of the lock file where they are missing or old, with --python makes the virtual environments
 * of the readers (DuckDB, Polars, pandas) and of the notebooks, and runs the script with the Node that the project brings. Plain JavaScript
 * without a dependency, since it runs before there is one, on the Node that the machine has.
 *
 * With --s3 builds the S3 server of the tests from its source (which one: `--server NAME` among the arguments), with
 * the Go that the machine has; without Go the tests that need it are skipped by name.
 *
 * The virtual environments are kept in ${XDG_CACHE_HOME:-~/.cache}/l2cap, by the hash of their requirements; the server by that of its pins.
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

/** A virtual environment of these requirements; test/support/python.ts finds it by the same hash. */
function python(folder, what) {
  const requirements = join(root, folder, 'requirements.txt')
  const hash = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 16)
  const ready = join(cache, `venv-${hash}`)
  if (existsSync(join(ready, 'bin', 'python'))) return
  const making = `${ready}-${process.pid}`
  mkdirSync(cache, { recursive: true })
  rmSync(making, { recursive: true, force: true })
  part('Python environment', 'python3', ['-m', 'venv', '--copies', making])
  part(what, join(making, 'bin', 'python'), [
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

/** What the S3 servers of the tests are built from, and about how long that takes on two cores, in seconds. */
const S3_SERVERS = {
  versitygw: { source: 'github.com/versity/versitygw/cmd/versitygw', seconds: 90 },
  minio: { source: 'github.com/minio/minio', seconds: 190 },
}

/** Builds the S3 server of the tests; test/s3/server.ts finds it by the same hash. */
function s3Server(args) {
  // somebody's own store is given: nothing is to be started
  if (process.env.L2CAP_TEST_S3_ENDPOINT) return
  const at = args.indexOf('--server')
  const kind = at < 0 ? 'versitygw' : args[at + 1]
  const server = S3_SERVERS[kind]
  if (server === undefined) {
    process.stderr.write(`set-up: no S3 server "${kind}"; there are ${Object.keys(S3_SERVERS).join(', ')}\n`)
    process.exit(2)
  }
  const pins = join(root, 'test', 's3', 'servers', kind)
  const hash = createHash('sha256')
  for (const name of ['go.mod', 'go.sum']) hash.update(readFileSync(join(pins, name)))
  const dir = join(cache, `s3-${kind}-${hash.digest('hex').slice(0, 16)}`)
  const ready = join(dir, kind)
  if (existsSync(ready)) return
  if (spawnSync('go', ['version'], { stdio: 'ignore' }).status !== 0) {
    process.stderr.write(`set-up: no Go on this machine: the S3 server ${kind} is not built\n`)
    return
  }
  const making = `${ready}-${process.pid}`
  mkdirSync(dir, { recursive: true })
  const name = `S3 server ${kind} (about ${server.seconds} s, once)`
  part(name, 'go', ['build', '-ldflags', '-s -w', '-o', making, server.source], {
    cwd: pins,
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -trimpath -buildvcs=false' },
  })
  // a rename: another run may have built, and started, the same meanwhile
  renameSync(making, ready)
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
const wanted = new Set()
while (['--python', '--s3'].includes(args[0])) wanted.add(args.shift())
const [script, ...rest] = args
packages()
if (wanted.has('--python')) {
  python('test/readers', 'Python readers (DuckDB, Polars, pandas)')
  python('examples', 'Python of the notebooks (the same, Jupyter, matplotlib)')
}
if (wanted.has('--s3')) s3Server(rest)
if (script !== undefined) start(script, rest)
