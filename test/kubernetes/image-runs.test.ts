/**
 * The image's programs, each in a container as a pod of "restricted" has it. How long their first line takes, and what
 * they hold in memory, is reported and not judged: it is the machine's, too.
 */
import assert from 'node:assert/strict'
import { chownSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import type { CaptureStatus } from '../../capture/process/status.ts'
import manifest from '../../package.json' with { type: 'json' }
import { randomPort } from '../s3/ports.ts'
import { startSim } from '../sim/mod.ts'
import { waitFor } from '../support/wait.ts'
import { UnpackedImage } from './image/archive.ts'
import { Container, type ContainerOptions } from './image/container.ts'
import { imageProblem, productArchive } from './images.ts'
import { openTarget } from './target.ts'

const USER = 1000
const STARTS_WITHIN_MS = 240_000
/** Commits after which a capture has done all that it does. */
const COMMITS = 5

const problem = imageProblem()

describe('programs of the image, in a container', { skip: problem || false }, () => {
  let home = ''
  let image: UnpackedImage

  before(() => {
    home = mkdtempSync(join(tmpdir(), 'l2cap-image-runs-'))
    image = new UnpackedImage(productArchive(), join(home, 'image'))
  })
  after(() => rmSync(home, { recursive: true, force: true }))

  function start(context: TestContext, options: Omit<ContainerOptions, 'dir'>): Container {
    const container = new Container(image, { dir: join(home, 'run'), ...options })
    context.after(() => container.kill())
    return container
  }

  /** A directory that the image's user may write. */
  function ownDir(name: string): string {
    const path = join(home, name)
    mkdirSync(path)
    chownSync(path, USER, USER)
    return path
  }

  it('commands: each says what it is, as user 1000, on a root that nobody can write', async (context) => {
    const outputs = new Map<string, string>()
    for (const [file, word] of [
      ['cli.js', '--version'],
      ['operator.js', '--help'],
    ] as const) {
      const container = start(context, { command: ['node', `/app/${file}`, word] })
      assert.equal(await container.ended, 0, container.output)
      context.diagnostic(`${file} ${word}: first line after ${container.firstLineMs?.toFixed(0)} ms`)
      outputs.set(file, container.output)
    }
    assert.equal(outputs.get('cli.js'), `${manifest.version}\n`)
    assert.match(outputs.get('operator.js') ?? '', /^l2cap-operator --settings FILE/)
    const look = `for (const at of ['/app/x', '/x', '/app/compiled/x', '/tmp/x']) {
      try { fs.writeFileSync(at, '') } catch ({ code }) { console.log(code) }
    }
    console.log(process.getuid(), process.getgid())`
    const container = start(context, { command: ['node', '-e', look] })
    assert.equal(await container.ended, 0, container.output)
    assert.equal(container.output, `${'EROFS\n'.repeat(4)}${USER} ${USER}\n`)
  })

  it('shell: there is none to be started', async (context) => {
    const container = start(context, { command: ['/bin/sh', '-c', 'true'] })
    assert.notEqual(await container.ended, 0)
    assert.match(container.output, /no such file or directory/)
  })

  it('compiled: all that the entry point loads is taken from what the image brings', async (context) => {
    const env = { NODE_DEBUG_NATIVE: 'COMPILE_CACHE' }
    const container = start(context, { env })
    assert.equal(await container.ended, 2, 'without a configuration')
    const verdicts = container.output.match(/was (accepted|rejected)|ENOENT|no such file/g) ?? []
    assert.ok(verdicts.length > 10, container.output.slice(0, 2000))
    assert.deepEqual([...new Set(verdicts)], ['was accepted'])
  })

  it('capture, the entry point: records a market on a read-only root, drains, and its bucket verifies', async (context) => {
    const sim = await startSim({ seed: 7, symbols: ['BTCUSDT'] })
    context.after(() => sim.stop())
    const [port, spool] = [randomPort(), ownDir('spool')]
    const storage = { local: { path: '/spool/data' } }
    const config = {
      ...{ exchange: 'BinanceUsdm', symbol: 'BTCUSDT', rotationSeconds: 2, endpoints: sim.endpoints, port },
      ...{ spool: { dir: '/spool/BTCUSDT' }, storage },
    }
    const mounts = { '/spool': spool }
    const capture = start(context, { env: { L2CAP_CONFIG: JSON.stringify(config) }, mounts })
    const startedMs = performance.now()
    const commits = new Set<string>()
    const status = async () => await ask<CaptureStatus>(port, '/status')
    const live = async () => (await status()).state === 'live'
    await waitFor('a live book', live, { deadlineMs: STARTS_WITHIN_MS, show: () => capture.output })
    const liveMs = performance.now() - startedMs
    const atLive = memoryOf(await capture.firstProcess())
    const committed = async () => {
      const { ship } = await status()
      if (ship.lastCommit !== null) commits.add(ship.lastCommit)
      return commits.size >= COMMITS
    }
    await waitFor(`${COMMITS} commits`, committed, {
      deadlineMs: STARTS_WITHIN_MS,
      show: () => capture.output,
    })
    const { now, peak } = memoryOf(await capture.firstProcess())
    context.diagnostic(
      `capture: first line after ${capture.firstLineMs?.toFixed(0)} ms, live after ${liveMs.toFixed(0)} ms; memory ${atLive.now} when live, ${now} after ${COMMITS} commits, ${peak} at most`,
    )
    assert.equal(await capture.stop(), 0, capture.output)
    const verify = start(context, { command: ['node', '/app/cli.js', 'verify', '/spool/data'], mounts })
    assert.equal(await verify.ended, 0, verify.output)
  })

  it('operator: reads the cluster and is ready, on a read-only root', async (context) => {
    const { api, kubeconfig } = await openTarget()
    const port = randomPort()
    const dir = ownDir('operator')
    copyFileSync(kubeconfig, join(dir, 'kubeconfig'))
    chownSync(join(dir, 'kubeconfig'), USER, USER)
    writeFileSync(join(dir, 'settings.yaml'), 'image: example/none:1\n')
    const namespace = `l2cap-image-${port}`
    await api.create('/api/v1/namespaces', { metadata: { name: namespace } })
    context.after(() => api.delete(`/api/v1/namespaces/${namespace}`))
    const words = ['--settings=/config/settings.yaml', '--kubeconfig=/config/kubeconfig', `--port=${port}`]
    // it is not to lose its lease while the machine stands still
    const lease = '--lease-seconds=120'
    const operator = start(context, {
      command: ['node', '/app/operator.js', ...words, lease, `--namespace=${namespace}`, '--host=127.0.0.1'],
      mounts: { '/config': dir },
    })
    const startedMs = performance.now()
    const ready = async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok
    await waitFor('the operator', ready, { deadlineMs: STARTS_WITHIN_MS, show: () => operator.output })
    const readyMs = performance.now() - startedMs
    const { now, peak } = memoryOf(await operator.firstProcess())
    context.diagnostic(
      `operator: first line after ${operator.firstLineMs?.toFixed(0)} ms, ready after ${readyMs.toFixed(0)} ms; memory ${now}, ${peak} at most`,
    )
    assert.equal(await operator.stop(), 0, operator.output)
  })
})

async function ask<T>(port: number, path: string): Promise<T> {
  return (await (await fetch(`http://127.0.0.1:${port}${path}`)).json()) as T
}

/** What the kernel says of the container's process: resident now, and at most so far. */
function memoryOf(pid: number): { readonly now: string; readonly peak: string } {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  const mb = (name: string) => {
    const [, kib] = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text) ?? []
    assert.ok(kib !== undefined, `${name} is not in\n${text}`)
    return `${((Number(kib) * 1024) / 1e6).toFixed(0)} MB`
  }
  return { now: mb('VmRSS'), peak: mb('VmHWM') }
}
