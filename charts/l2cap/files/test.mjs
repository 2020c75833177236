/**
 * What `helm test` runs in the image: the operator is ready, and a capture works from here: it reaches the exchange, its
 * book becomes live, and what it wrote is proven by `l2cap verify`. It needs no bucket and no right in the cluster.
 */
import { spawnSync } from 'node:child_process'

const DATA = process.env.L2CAP_TEST_DATA ?? '/data'
const CLI = process.env.L2CAP_TEST_CLI ?? '/app/cli.js'
const OPERATOR_WITHIN_MS = 60_000
const RETRY_MS = 1_000
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

const {
  L2CAP_TEST_OPERATOR,
  L2CAP_TEST_EXCHANGE,
  L2CAP_TEST_SYMBOL,
  L2CAP_TEST_SECONDS,
  L2CAP_TEST_ENDPOINTS,
} = process.env

function fail(message) {
  console.error(`FAILED: ${message}`)
  process.exit(1)
}

async function operatorReady() {
  const url = `${L2CAP_TEST_OPERATOR}/readyz`
  const deadline = Date.now() + OPERATOR_WITHIN_MS
  for (;;) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(5_000) }).then(
      ({ status }) => status,
      (error) => error.cause?.message ?? error.message,
    )
    if (answer === 200) return console.log('✔ the operator is ready')
    if (Date.now() > deadline) fail(`${url} says ${answer}; look at the log of the operator`)
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
  }
}

/** Runs the command line, and gives what it says. */
function l2cap(args) {
  const { status, stdout, error } = spawnSync(process.execPath, [CLI, ...args], {
    cwd: DATA,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: OUTPUT_BYTES_MAX,
  })
  if (error !== undefined) fail(`${CLI} cannot be started: ${error.message}`)
  return { status, stdout }
}

function capture() {
  const what = ['--exchange', L2CAP_TEST_EXCHANGE, '--symbols', L2CAP_TEST_SYMBOL]
  const where = ['--out', `${DATA}/bucket`, '--spool', `${DATA}/spool`, '--rotation-seconds', '10']
  const from = L2CAP_TEST_ENDPOINTS ? ['--endpoints', L2CAP_TEST_ENDPOINTS] : []
  const words = ['run', ...what, ...where, ...from, '--duration', `${L2CAP_TEST_SECONDS}s`]
  const { status, stdout } = l2cap(words)
  // each second has a line: they are of interest where it failed
  const told = stdout.split('\n').filter((line) => status !== 0 || !line.includes('"event":"status"'))
  process.stdout.write(told.join('\n'))
  if (status !== 0)
    fail(`the capture of ${L2CAP_TEST_SYMBOL} ended with the exit code ${status}; its events are above`)
  console.log('✔ it captured')
}

function verify() {
  const { status, stdout } = l2cap(['verify', `${DATA}/bucket`, '--json'])
  if (status !== 0) fail(`l2cap verify ended with the exit code ${status}: ${stdout}`)
  const { checked, coverage } = JSON.parse(stdout)
  const books = coverage.filter(({ stream }) => stream.startsWith('books'))
  const proven = books.reduce((sum, { seconds }) => sum + seconds.proven, 0)
  if (checked.rows === 0) fail('nothing was recorded: can the exchange be reached from here?')
  if (proven === 0) fail('no second of the book is proven: it never was live')
  console.log(
    `✔ ${checked.rows} rows in ${checked.objects} objects verify; ${proven} s of the book are proven`,
  )
}

await operatorReady()
capture()
verify()
