/**
 * A run of test files on a cluster, from the images to the end of the cluster: on one of this machine, or on somebody's
 * where L2CAP_TEST_KUBECONFIG names it. On this machine the tests run in the network of the cluster: nothing of it can
 * be reached from outside.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { givenKubeconfig } from '../cluster/mod.ts'
import { nodesProblem, RealCluster } from './cluster.ts'
import { imageEnv, makeImages } from './images.ts'
import { CLUSTER_DIR_ENV } from './target.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const NODES = 3
const SUITE = join(import.meta.dirname, 'suite.ts')

const started = performance.now()
const abort = new AbortController()

function say(what: string): void {
  process.stdout.write(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${what}\n`)
}

/** Runs the files as a process of its own, which enters the cluster's network. Returns its exit code. */
async function suite(before: readonly string[], env: NodeJS.ProcessEnv, files: readonly string[]) {
  const [command = '', ...args] = [...before, process.execPath, SUITE, ...files]
  const child = spawn(command, args, { cwd: ROOT, stdio: 'inherit', env: { ...process.env, ...env } })
  abort.signal.addEventListener('abort', () => child.kill('SIGTERM'))
  return await new Promise<number>((done) => {
    child.once('error', () => done(1))
    child.once('exit', (code) => done(code ?? 1))
  })
}

async function ownCluster(files: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const archives = await makeImages()
  const images = Object.values(archives)
  say('images built')
  // a tree of its own for each checkout: two may be tested at once
  const name = createHash('sha256').update(ROOT).digest('hex').slice(0, 8)
  try {
    abort.signal.throwIfAborted()
    const [cluster, text] = await RealCluster.start({
      ...{ name, nodes: NODES, images },
      signal: abort.signal,
    })
    try {
      say(`cluster up\n${text.trim()}`)
      abort.signal.throwIfAborted()
      return await suite(
        [cluster.inCluster],
        { ...env, [CLUSTER_DIR_ENV]: cluster.dir, TMPDIR: cluster.scratch, ...imageEnv(archives) },
        files,
      )
    } finally {
      await cluster.stop()
      say('cluster gone')
    }
  } finally {
    for (const image of images) rmSync(image, { force: true })
  }
}

/** Runs these test files one after another, with this environment besides ours, and ends the process as they end. */
export async function runOnCluster(files: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<never> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => abort.abort())
  try {
    const own = givenKubeconfig() === undefined
    const problem = own ? nodesProblem() : ''
    if (problem !== '') {
      const cure = 'L2CAP_TEST_KUBECONFIG=FILE takes a cluster that is there'
      process.stdout.write(`skipped: every test on a real cluster: ${problem}; ${cure}\n`)
      process.exit(process.env['CI'] === undefined ? 0 : 1)
    }
    const code = own ? await ownCluster(files, env) : await suite([], env, files)
    say(code === 0 ? 'all tests on the cluster passed' : 'tests on the cluster FAILED')
    process.exit(code)
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
    process.exit(1)
  }
}
