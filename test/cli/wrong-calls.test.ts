import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { COMMANDS } from '../../capture/cli/commands.ts'
import { call, L2cap, ROOT, simulated, temporary } from './l2cap.ts'

const GOOD = ['run', '--exchange', 'BinanceUsdm', '--symbols', 'BTCUSDT'] as const

/** A file and a directory that exist, for calls that are wrong about them. */
interface Places {
  readonly file: string
  readonly directory: string
}

const WRONG: readonly (readonly [string, (places: Places) => readonly string[], RegExp])[] = [
  ['an unknown command', () => ['rnu'], /^l2cap: there is no command "rnu"; did you mean run\?/],
  [
    'an unknown option',
    () => [...GOOD, '--rotaton-seconds', '5'],
    /no option --rotaton-seconds; did you mean --rotation-seconds\?/,
  ],
  [
    'an unknown option before the command',
    () => ['--verson'],
    /no option "--verson"; did you mean --version\?/,
  ],
  ['a missing value', () => ['run', '--exchange', 'BinanceUsdm', '--symbols'], /--symbols needs a value/],
  ['nothing to capture', () => ['run'], /say what to capture/],
  ['no symbols', () => ['run', '--exchange', 'BinanceUsdm'], /--symbols is missing/],
  [
    'empty symbols',
    () => ['run', '--exchange', 'BinanceUsdm', '--symbols', ','],
    /--symbols has an empty entry/,
  ],
  [
    'a symbol that is none',
    () => ['run', '--exchange', 'BinanceUsdm', '--symbols', 'A/B'],
    /a symbol has no spaces/,
  ],
  [
    'an unknown exchange',
    () => ['run', '--exchange', 'BinanceUsd', '--symbols', 'A'],
    /did you mean BinanceUsdm\?/,
  ],
  [
    'a bad duration',
    () => [...GOOD, '--duration', '60'],
    /--duration is "60"; give it a number with its unit/,
  ],
  ['bad levels', () => [...GOOD, '--levels', '51'], /--levels is "51"; give it a whole number from 1 to 50/],
  [
    'a bad rotation',
    () => [...GOOD, '--rotation-seconds', '7'],
    /--rotation-seconds is 7; give it a divisor of a day/,
  ],
  [
    'an unknown stream',
    () => [...GOOD, '--streams', 'book'],
    /--streams does not know "book"; did you mean books\?/,
  ],
  [
    'bad endpoints',
    () => [...GOOD, '--endpoints', 'localhost:1'],
    /--endpoints is "localhost:1"; give it a URL/,
  ],
  ['a bad port', () => [...GOOD, '--port', '70000'], /--port is "70000"; give it a whole number/],
  [
    'an output below a file',
    ({ file }) => [...GOOD, '--out', join(file, 'data')],
    /cannot write to .*: a part of the path is a file/,
  ],
  ['an output that is a file', ({ file }) => [...GOOD, '--out', file], /cannot write to .*: it is a file/],
  [
    'an output in a bucket',
    () => [...GOOD, '--out', 's3://b'],
    /--out is s3:\/\/b, and takes a directory; write a bucket as storage\.s3 into a file/,
  ],
  [
    'a spool below a file',
    ({ file, directory }) => [...GOOD, '--out', directory, '--spool', join(file, 's')],
    /Spool directory .* cannot be made/,
  ],
  [
    'no such YAML',
    ({ directory }) => ['run', join(directory, 'no.yaml')],
    /cannot read .*no\.yaml: there is no such file/,
  ],
  ['a text that is no capture', ({ file }) => ['run', file], /is not valid/],
  [
    'a file and its own words',
    ({ file }) => ['run', file, '--symbols', 'A'],
    /--symbols makes no sense with/,
  ],
  ['verify without a path', () => ['verify'], /l2cap verify needs the directory or bucket of the data/],
  [
    'verify of nothing',
    ({ directory }) => ['verify', join(directory, 'no')],
    /cannot read .*: there is no such file or directory/,
  ],
  ['verify of a file', ({ file }) => ['verify', file], /is a file; give the directory/],
  ['verify without a manifest', ({ directory }) => ['verify', directory], /there is no manifest below/],
  [
    'verify of a bucket without a name',
    () => ['verify', 's3://'],
    /names no bucket; give s3:\/\/bucket\/prefix/,
  ],
  [
    'verify of a prefix with two slashes at its end',
    () => ['verify', 's3://data/a//'],
    /no slash at its ends/,
  ],
  [
    'an endpoint without a scheme',
    () => ['ls', 's3://market-data', '--s3-endpoint', 'minio.example:9000'],
    /endpoint: an address such as https:\/\/minio\.example:9000/,
  ],
  ['verify of a prefix that leads elsewhere', () => ['verify', 's3://data/a/../b'], /no part "\." or "\.\."/],
  ['verify of a prefix with a hole', () => ['verify', 's3://data/a//b'], /between slashes/],
  [
    'verify of a bucket without credentials',
    () => ['verify', 's3://market-data/l2'],
    /no credentials for s3:\/\/market-data\/l2: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment/,
  ],
  [
    'an endpoint with a password',
    () => ['ls', 's3://market-data', '--s3-endpoint', 'http://a:b@c'],
    /endpoint: an address such as .*without user/,
  ],
  [
    'options of a bucket for a directory',
    ({ directory }) => ['verify', directory, '--s3-region', 'x'],
    /--s3-region is for data in a bucket, and .* is a directory; write s3:\/\/bucket\/prefix/,
  ],
  ['inspect of an object', () => ['inspect', 's3://market-data/a.parquet'], /copy the file from there first/],
  ['ls without a manifest', ({ directory }) => ['ls', directory], /there is no manifest below/],
  ['inspect of a directory', ({ directory }) => ['inspect', directory], /is no file/],
  ['inspect of nothing', ({ directory }) => ['inspect', join(directory, 'no')], /cannot read/],
  ['replay without a segment', () => ['replay', '--out', 'x'], /l2cap replay needs a segment/],
  ['replay without --out', ({ file }) => ['replay', file], /--out is missing/],
]

test('a wrong call gets one sentence on stderr, nothing on stdout, and exit code 2', {
  concurrency: 2,
}, async (t) => {
  const directory = await temporary(t)
  const file = join(directory, 'file')
  await writeFile(file, 'not a capture\n')
  const calls = WRONG.map(([what, args, message]) =>
    t.test(what, async (t) => {
      const { code, stdout, stderr } = await call(t, args({ file, directory: await temporary(t) }))
      assert.match(stderr, message)
      assert.match(stderr, /^l2cap: /)
      assert.doesNotMatch(stderr, /\n\s+at /, 'no trace')
      assert.equal(code, 2)
      // a capture that cannot begin was started all the same
      assert.doesNotMatch(stdout, /"event":"(?!started|done)/)
    }),
  )
  await Promise.all(calls)
})

test('run: a spool that is too small is told by the field of the file', async (t) => {
  const directory = await temporary(t)
  const file = join(directory, 'capture.yaml')
  const head = 'apiVersion: l2cap.dev/v1alpha1\nkind: L2Capture\nmetadata: {name: majors}\n'
  const storage = `{local: {path: ${JSON.stringify(join(directory, 'data'))}}}`
  await writeFile(
    file,
    `${head}spec: {exchange: BinanceUsdm, symbols: [BTCUSDT], spool: {sizeLimit: 8Mi}, storage: ${storage}}\n`,
  )
  const { code, stdout, stderr } = await call(t, ['run', file])
  assert.equal(stderr, `l2cap: ${file} is not valid:\n  spec.spool.sizeLimit: at least 16Mi\n`)
  assert.deepEqual([code, stdout], [2, ''])
})

test('run: a port in use is a wrong call that names the port', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.after(() => server.close())
  await new Promise((listening) => server.once('listening', listening))
  const { port } = server.address() as AddressInfo
  const [directory, sim] = [await temporary(t), await simulated(t)]
  const places = [
    '--out',
    join(directory, 'data'),
    '--spool',
    join(directory, 'spool'),
    '--endpoints',
    sim.endpoints,
  ]
  const { code, stderr } = await call(t, [...GOOD, ...places, '--port', String(port)])
  assert.equal(stderr, `l2cap: cannot listen on 127.0.0.1:${port}: it is in use; choose another --port\n`)
  assert.equal(code, 2)
})

test('help: every command has a paragraph, its options, an example and its exit codes', async (t) => {
  for (const [name, { about }] of COMMANDS) {
    const { code, stdout, stderr } = await call(t, [name, '--help'])
    assert.deepEqual([code, stderr], [0, ''], name)
    for (const part of [`l2cap ${name}`, 'Example', 'Exit codes: 0'])
      assert.ok(stdout.includes(part), `${name}: ${part}`)
    assert.ok((await call(t, ['--help'])).stdout.includes(about))
    assert.equal((await call(t, ['help', name])).stdout, stdout)
  }
})

test('the launcher: an older Node hands on to the one that came with the package, with signals and exit codes', async (t) => {
  // what an older Node says of itself; the program under it is then started as it would be there
  const older = 'Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.0.0"}})'
  const launch = (...args: string[]) =>
    new L2cap(t, args, ['--import', `data:text/javascript,${older}`], `${ROOT}capture/bin.js`)
  const version = launch('--version')
  assert.equal(await version.ended, 0)
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/)
  assert.equal(await launch('rnu').ended, 2)

  const [directory, sim] = [await temporary(t), await simulated(t)]
  const places = [
    '--out',
    join(directory, 'data'),
    '--spool',
    join(directory, 'spool'),
    '--endpoints',
    sim.endpoints,
  ]
  const run = launch(...GOOD, ...places)
  await run.until('the capture is live', () => run.events('live').length > 0)
  run.child.kill('SIGTERM')
  assert.equal(await run.ended, 0, run.stderr)
  assert.equal(run.events('ended')[0]?.reason, 'Drained')
})
