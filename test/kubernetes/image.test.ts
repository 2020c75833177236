/** What is in the image that the cluster of the tests runs, and what is not. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { z } from 'zod'
import { LICENSES_FILE, PROGRAMS } from '../../bundle.ts'
import manifest from '../../package.json' with { type: 'json' }
import { type Entry, UnpackedImage } from './image/archive.ts'
import { imageProblem, makeAgain, productArchive } from './images.ts'

const ROOT = resolve(import.meta.dirname, '../..')
/** Of all files of the image: 152 MB were seen, 127 of them Node. */
const BYTES_MAX = 170_000_000
const AGAIN_WITHIN_MS = 3 * 60 * 60_000
const USER = 1000

/** All files that may be there; what is in /app besides is looked at below. */
const EXPECTED = [
  /^\/usr\/local\/bin\/node$/,
  /^\/lib(64)?\/([a-z0-9_]+-linux-gnu\/)?[a-z+_0-9-]+\.so(\.\d+)*$/,
  /^\/usr\/share\/doc\/(node|libc6|libgcc-s1|libstdc\+\+6)\/copyright$/,
  /^\/var\/lib\/dpkg\/status\.d\/(libc6|libgcc-s1|libstdc\+\+6)$/,
  /^\/etc\/(group|passwd|nsswitch\.conf|os-release)$/,
  new RegExp(`^/app/(${Object.keys(PROGRAMS).join('|')})\\.js$`),
  /^\/app\/part-[\w.-]+\.js$/,
  /^\/app\/(parquet_wasm_bg\.wasm|package\.json|LICENSE)$/,
  new RegExp(`^/app/${LICENSES_FILE}$`),
  /^\/app\/node_modules\/@node-rs\/crc32(-linux-[\w-]+)?\/[\w.-]+$/,
  /^\/app\/compiled\/v24\.[\w.-]+-1000\/[0-9a-f]{8}$/,
]
/** A key, a token, or a key id of a cloud. */
const SECRET =
  /-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{32}|\b(AKIA|ASIA)[0-9A-Z]{16}\b|_authToken\s*=|\bgh[pousr]_\w{36}|\bnpm_\w{36}/
const SHELL = /\/(ba|da|a|z|k|c|tc)?sh$|\/busybox$/

const Lock = z.object({
  packages: z.record(
    z.string(),
    z.looseObject({ version: z.string().optional(), dev: z.boolean().optional() }),
  ),
})

const problem = imageProblem()

describe('the image', { skip: problem || false }, () => {
  let home = ''
  let image: UnpackedImage
  let files: readonly Entry[] = []

  before(() => {
    home = mkdtempSync(join(tmpdir(), 'l2cap-image-'))
    image = new UnpackedImage(productArchive(), join(home, 'first'))
    files = image.entries.filter(({ hash }) => hash !== undefined)
  })
  after(() => rmSync(home, { recursive: true, force: true }))

  const pathsOf = (some: readonly Entry[]) => some.map(({ path }) => path)

  it('files: Node with its libraries, the bundle, licences, and nothing else: no package manager, no cache, no shell', () => {
    const unexpected = files.filter(({ path }) => !EXPECTED.some((pattern) => pattern.test(path)))
    assert.deepEqual(pathsOf(unexpected), [])
    for (const pattern of EXPECTED)
      assert.ok(
        files.some(({ path }) => pattern.test(path)),
        `nothing is ${pattern}`,
      )
    assert.deepEqual(pathsOf(image.entries.filter(({ isOdd }) => isOdd)), [])
    assert.deepEqual(pathsOf(image.entries.filter(({ path }) => SHELL.test(path))), [])
    const programs = files.filter(({ path, mode }) => (mode & 0o111) !== 0 && !/\.so(\.\d+)*$/.test(path))
    assert.deepEqual(pathsOf(programs), ['/usr/local/bin/node'])
  })

  it('rights: nothing gives rights, and what others may write is /tmp alone', () => {
    const isTmp = ({ path }: Entry) => path === '/tmp/'
    assert.deepEqual(pathsOf(image.entries.filter((one) => !isTmp(one) && (one.mode & 0o7022) !== 0)), [])
    const owned = image.entries.filter(({ uid }) => uid !== 0)
    for (const { path, uid, gid } of owned) {
      assert.match(path, /^\/(spool|app\/compiled)\//)
      assert.deepEqual([uid, gid], [USER, USER], path)
    }
    assert.ok(owned.some(({ path }) => path === '/spool/'))
  })

  it('packages: what has a part in it is none for development, and is that of the lock file', (context) => {
    const { packages } = Lock.parse(JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')))
    const found = new Set<string>()
    // the bundler says above each file where it is from
    const from = /^\/\/ ((?:[\w./-]+\/)?node_modules\/(?:@[\w.-]+\/)?[\w.-]+)\//gm
    for (const { path } of files.filter((file) => /^\/app\/[^/]+\.js$/.test(file.path)))
      for (const [, name = ''] of image.read(path).toString().matchAll(from)) found.add(name)
    for (const { path } of files) {
      const [, name] = /^\/app\/(node_modules\/(?:@[\w.-]+\/)?[\w.-]+)\//.exec(path) ?? []
      if (name !== undefined) found.add(name)
    }
    context.diagnostic(`${found.size} packages`)
    assert.ok(found.has('node_modules/ws') && found.size > 50, [...found].join(', '))
    const licences = image.read(`/app/${LICENSES_FILE}`).toString()
    for (const path of found) {
      const locked = packages[path]
      assert.ok(locked !== undefined && locked.dev !== true, `${path} is no dependency of production`)
      const name = path.replace(/^.*node_modules\//, '')
      assert.ok(licences.includes(`${name} ${locked.version} (`), `no licence of ${name} ${locked.version}`)
    }
  })

  it('secrets: there is none, neither in a file nor in what the image says of its making', () => {
    for (const { path } of files) {
      assert.doesNotMatch(path, /npmrc|\.env$|id_(rsa|ed25519)|credentials$|kubeconfig|\.(pem|key|p12)$/i)
      assert.doesNotMatch(image.read(path).toString('latin1'), SECRET, path)
    }
    const { config, history } = image.config
    for (const text of [...config.Env, ...history.map((one) => one.created_by)])
      assert.doesNotMatch(text, /token|secret|password|npmrc/i)
  })

  it('says: user 1000, the capture as entry point, and what it is in OCI’s words', () => {
    const { config, os } = image.config
    assert.deepEqual(
      [os, config.User, config.Entrypoint, config.Cmd ?? null, config.StopSignal],
      ['linux', `${USER}:${USER}`, ['node', '/app/capture.js'], null, 'SIGTERM'],
    )
    const labels = Object.entries(config.Labels).map(
      ([name, value]) => [name.replace('org.opencontainers.image.', ''), value] as const,
    )
    const { title, version, licenses, revision, source, description } = Object.fromEntries(labels)
    assert.deepEqual(
      [title, version, licenses, description],
      [manifest.name, manifest.version, manifest.license, manifest.description],
    )
    assert.ok(revision !== undefined && source?.startsWith('https://'))
  })

  it('size: small', (context) => {
    const bytesOf = (pattern: RegExp) =>
      files.filter(({ path }) => pattern.test(path)).reduce((sum, { bytes }) => sum + bytes, 0)
    const mb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
    const { bytes } = image
    context.diagnostic(
      `${mb(bytes)} in ${files.length} files: Node ${mb(bytesOf(/\/bin\/node$/))}, programs ${mb(bytesOf(/^\/app\/[^/]+$/))}, compiled ${mb(bytesOf(/^\/app\/compiled\//))}`,
    )
    assert.ok(bytes < BYTES_MAX, `${bytes} bytes`)
  })

  it('again: built of nothing that was there before it is the same, byte for byte', {
    timeout: AGAIN_WITHIN_MS,
  }, async (context) => {
    const archive = join(home, 'again.tar')
    const startedMs = performance.now()
    await makeAgain(archive)
    context.diagnostic(`built in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`)
    const again = new UnpackedImage(archive, join(home, 'again'))
    assert.deepEqual(again.entries, image.entries)
    assert.deepEqual(again.config.config, image.config.config)
    assert.deepEqual(again.config.rootfs, image.config.rootfs, 'the layers’ digests')
  })
})
