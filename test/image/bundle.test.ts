import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Metafile } from 'esbuild'
import { bundle, LICENSES_FILE, PROGRAMS, packagesOf } from '../../bundle.ts'
import manifest from '../../package.json' with { type: 'json' }
import lock from '../../package-lock.json' with { type: 'json' }
import { startSim } from '../sim/mod.ts'
import { CaptureProcess } from '../support/capture.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const DEADLINE_MS = 180_000

describe('the bundle of the image', () => {
  let home = ''
  let app = ''
  let metafile: Metafile

  before(async () => {
    // not below the project: what is missing must not be found in its node_modules
    home = await mkdtemp(join(tmpdir(), 'l2cap-image-'))
    app = join(home, 'app')
    metafile = await bundle(app)
  })
  after(() => rm(home, { recursive: true, force: true }))

  /** Files of the bundle that a program loads, at its start or later. */
  function loadedBy(...programs: readonly string[]): Set<string> {
    const outputs = new Map(Object.entries(metafile.outputs).map(([path, one]) => [resolve(ROOT, path), one]))
    const seen = new Set<string>()
    const next = programs.map((program) => join(app, `${program}.js`))
    for (let path = next.pop(); path !== undefined; path = next.pop()) {
      if (seen.has(path)) continue
      const output = outputs.get(path)
      assert.ok(output !== undefined, `${path} is no part of the bundle`)
      seen.add(path)
      next.push(...output.imports.filter(({ external }) => !external).map((one) => resolve(ROOT, one.path)))
    }
    return seen
  }

  function packagesOfFiles(paths: ReadonlySet<string>): string[] {
    const outputs = Object.entries(metafile.outputs).filter(([path]) => paths.has(resolve(ROOT, path)))
    return [...packagesOf({ ...metafile, outputs: Object.fromEntries(outputs) })]
  }

  function run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const options = { encoding: 'utf8', timeout: 300_000, env: { ...process.env, ...env } } as const
    return spawnSync(process.execPath, [join(app, `${program}.js`), ...args], options)
  }

  it('dependencies: none that is for development alone has a part in it, and no test', () => {
    const { packages: locked } = lock as { packages: Record<string, { dev?: boolean }> }
    const packages = packagesOf(metafile)
    assert.ok(packages.has('node_modules/ws'), 'it does see packages')
    assert.ok(locked['node_modules/esbuild']?.dev, 'the lock file does tell')
    assert.deepEqual(
      [...packages].filter((path) => locked[path] === undefined || locked[path].dev),
      [],
    )
    const ours = Object.keys(metafile.inputs).filter((path) => !path.includes('node_modules/'))
    assert.deepEqual([...new Set(ours.map((path) => path.split('/')[0]))].sort(), [
      'api',
      'capture',
      'operator',
      'package.json',
    ])
  })

  it('capture: it and its worker load nothing of the cluster’s client, now or later', () => {
    const client = 'node_modules/@kubernetes/client-node'
    assert.ok(packagesOfFiles(loadedBy('operator')).includes(client), 'the operator does')
    assert.ok(!packagesOfFiles(loadedBy('capture', 'record-worker')).includes(client))
  })

  it('outside: what it imports is Node, or lies in its own node_modules', () => {
    const outside = Object.values(metafile.outputs)
      .flatMap(({ imports }) => imports)
      .filter(({ external, path }) => external && !path.startsWith('node:'))
      .map(({ path }) => path)
    const { builtinModules } = process.getBuiltinModule('node:module')
    const packages = new Set(outside.filter((path) => !builtinModules.includes(path)))
    // `ws` and `debug` go on without these: they are asked for in a try
    for (const absent of ['bufferutil', 'utf-8-validate', 'supports-color']) packages.delete(absent)
    assert.deepEqual([...packages], ['@node-rs/crc32'])
    assert.ok(existsSync(join(app, 'node_modules/@node-rs/crc32/package.json')))
    const text =
      readFileSync(join(app, 'capture.js'), 'utf8') + readFileSync(join(app, 'operator.js'), 'utf8')
    assert.ok(!text.includes(ROOT), 'no path of the machine that built it')
  })

  it('licences: each package that has a part in it is named with its version', () => {
    const text = readFileSync(join(app, LICENSES_FILE), 'utf8')
    for (const path of [
      ...packagesOf(metafile),
      'node_modules/@node-rs/crc32',
      'node_modules/parquet-wasm',
    ]) {
      const about: unknown = JSON.parse(readFileSync(join(ROOT, path, 'package.json'), 'utf8'))
      const { name, version } = about as { name: string; version: string }
      assert.ok(text.includes(`${name} ${version} (`), `${name} ${version}`)
    }
  })

  it('again: the same packages and sources give the same bytes', async () => {
    const second = join(home, 'again')
    await bundle(second)
    const files = readdirSync(app, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(app.length))
    assert.ok(files.length > Object.keys(PROGRAMS).length)
    for (const file of files)
      assert.ok(readFileSync(join(app, file)).equals(readFileSync(join(second, file))), file)
  })

  it('programs: each starts without the project, and says what it was called wrongly with', () => {
    assert.equal(run('cli', ['--version']).stdout, `${manifest.version}\n`)
    for (const command of ['run', 'verify', 'ls', 'inspect', 'status', 'replay'])
      assert.equal(run('cli', [command, '--help']).status, 0, command)
    assert.equal(run('operator', ['--help']).status, 0)
    const wrong = run('capture', [], { L2CAP_CONFIG: '{}' })
    assert.equal(wrong.status, 2, wrong.stderr)
    assert.match(wrong.stderr, /L2CAP_CONFIG is not valid/)
    const operator = run('operator', ['--settings', join(home, 'missing.yaml')])
    assert.equal(operator.status, 2, operator.stderr)
  })

  it('capture: records a market, ships it, drains, and the bundled verifier proves all of it', async (context) => {
    const sim = await startSim({ seed: 7, symbols: ['BTCUSDT'] })
    context.after(() => sim.stop())
    const capture = new CaptureProcess({
      main: join(app, 'capture.js'),
      dir: home,
      symbol: 'BTCUSDT',
      endpoints: sim.endpoints,
      rotationSeconds: 2,
    })
    context.after(() => capture.kill())
    const shipped = await capture.until(
      'a live book and a commit',
      ({ state, ship }) => state === 'live' && ship.lastCommit !== null,
      DEADLINE_MS,
    )
    assert.equal(shipped.version, manifest.version)
    await capture.drain()
    const { status, stdout, stderr } = run('cli', ['verify', join(home, 'data'), '--json'])
    assert.equal(status, 0, stdout + stderr)
    const report: unknown = JSON.parse(stdout)
    const { ok, checked } = report as { ok: boolean; checked: { rows: number; objects: number } }
    assert.ok(ok && checked.rows > 0 && checked.objects > 0, stdout)
  })
})
