/** The first test on a cluster: README.md, from an empty cluster to data that is read, as a new user does it. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type { V1Pod } from '@kubernetes/client-node'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import type { L2CaptureResource } from '../../api/resource.ts'
import type { VerifyReport } from '../../capture/verify/mod.ts'
import { CHART } from '../chart/helm.ts'
import { metricsIn } from '../chart/named.ts'
import { nameOf } from '../e2e/captures.ts'
import { executeNotebooks, notebooks, type Settings } from '../examples/execute.ts'
import type { Shown } from '../examples/figures.ts'
import { runL2cap } from '../s3/cli.ts'
import { waitFor } from '../support/wait.ts'
import { metricsTold, promtoolProblem } from './exposition.ts'
import { Forward } from './forward.ts'
import { IMAGES } from './images.ts'
import { clusterPath } from './readme.ts'
import { call, openTarget, type Target, targetProblem } from './target.ts'
import { User } from './user.ts'
import { World } from './world.ts'

const problem = targetProblem()
const options = problem === '' ? {} : { skip: problem }
const MINIO = resolve(import.meta.dirname, '../../examples/minio.yaml')
const SYMBOLS = ['BTCUSDT', 'ETHUSDT']
const RESTRICTED = { 'pod-security.kubernetes.io/enforce': 'restricted' }
const COLUMNS = ['NAME', 'EXCHANGE', 'SYMBOLS', 'LIVE', 'HALTED', 'READY', 'AGE']
const COMPONENT = 'labelSelector=app.kubernetes.io%2Fcomponent%3D'
/** A block of commands that reads the bucket is for a user who has waited until something is there. */
const READS_BUCKET = 's3://'
const HELM_TEST = 'helm test l2cap'
/** The example rotates each minute. */
const COMMITTED_WITHIN_MS = 600_000
/** Of the figures in the notebook there are some then. */
const PROVEN_SECONDS = 20
const STREAMS = ['books20', 'depth', 'trades']

const Status = z.looseObject({ ship: z.looseObject({ lastCommit: z.unknown() }) })

/** What a user has after the commands of README.md: where the captures are, and what is known of the store. */
interface Done {
  readonly target: Target
  readonly namespace: string
  readonly captures: readonly L2CaptureResource[]
  /** What `helm test` said, as a user's command or the test's own. */
  readonly tested: string
}

/** Objects of the example by kind, and every image that it names. */
async function example(): Promise<{ images: string[]; secret: Record<string, string>; bucket: string }> {
  const text = await readFile(MINIO, 'utf8')
  const objects = parseAllDocuments(text).map((document) =>
    z.looseObject({ kind: z.string() }).parse(document.toJS()),
  )
  const of = (kind: string) => objects.find((object) => object.kind === kind)
  const secret = z.looseObject({ stringData: z.record(z.string(), z.string()) }).parse(of('Secret'))
  const s3 = z.looseObject({ bucket: z.string() })
  const capture = z
    .looseObject({ spec: z.looseObject({ storage: z.looseObject({ s3 }) }) })
    .parse(of('L2Capture'))
  const images = [...text.matchAll(/^\s+image: (\S+)$/gm)].map(([, image = '']) => image)
  return { images, secret: secret.stringData, bucket: capture.spec.storage.s3.bucket }
}

async function captures({ api }: Target, since: number): Promise<L2CaptureResource[]> {
  const all = await api.list<L2CaptureResource>('/apis/l2cap.dev/v1alpha1/l2captures')
  return all.filter(({ metadata }) => Date.parse(String(metadata.creationTimestamp)) >= since)
}

async function podsOf({ api }: Target, namespace: string, component: string): Promise<string[]> {
  const pods = await api.list<V1Pod>(`/api/v1/namespaces/${namespace}/pods?${COMPONENT}${component}`)
  return pods.map(nameOf)
}

async function ask<T>(
  { api }: Target,
  namespace: string,
  pod: string,
  port: number,
  path: string,
): Promise<T> {
  return await api.send<T>('GET', `/api/v1/namespaces/${namespace}/pods/${pod}:${port}/proxy${path}`)
}

/** Resolves when every capture pod has committed something. */
async function committed(target: Target, since: number): Promise<void> {
  const told = async () => {
    const namespaces = new Set(
      (await captures(target, since)).map(({ metadata }) => metadata.namespace ?? ''),
    )
    const pods = await Promise.all(
      [...namespaces].map(async (namespace) =>
        (await podsOf(target, namespace, 'capture')).map((pod) =>
          ask<unknown>(target, namespace, pod, 9090, '/status'),
        ),
      ),
    )
    return (await Promise.all(pods.flat())).map((status) => Status.parse(status).ship.lastCommit)
  }
  await waitFor(
    'a first commit of every capture',
    async () => {
      const commits = await told()
      return commits.length > 0 && commits.every((commit) => typeof commit === 'string')
    },
    { deadlineMs: COMMITTED_WITHIN_MS, everyMs: 1_000, show: told },
  )
}

async function helmTest(target: Target, since: number): Promise<string> {
  const [capture] = await captures(target, since)
  const namespace = capture?.metadata.namespace ?? ''
  return await call(target, 'helm', '--namespace', namespace, ...HELM_TEST.split(' ').slice(1), '--logs')
}

/** Whether each stream of these symbols is proven for long enough, on whichever days. */
function isProven({ coverage }: VerifyReport, symbols: readonly string[]): boolean {
  const seconds = (symbol: string, stream: string) =>
    coverage
      .filter((day) => day.symbol === symbol && day.stream === stream)
      .reduce((sum, day) => sum + day.seconds.proven, 0)
  return symbols.every((symbol) => STREAMS.every((stream) => seconds(symbol, stream) >= PROVEN_SECONDS))
}

function symbolsOf({ spec }: L2CaptureResource): string[] {
  return z.object({ symbols: z.array(z.string()).min(1) }).parse(spec).symbols
}

/** Everything that README.md says, on a cluster that knows nothing of this project yet. */
async function followed(context: TestContext): Promise<Done> {
  const target = await openTarget({ definitions: false })
  const namespace = `l2cap-${randomBytes(4).toString('hex')}`
  await target.api.create('/api/v1/namespaces', { metadata: { name: namespace, labels: RESTRICTED } })
  const made = new Set([namespace])
  context.after(async () => {
    for (const one of made) {
      await target.api.delete(`/api/v1/namespaces/${one}/pods?gracePeriodSeconds=0`)
      await target.api.delete(`/api/v1/namespaces/${one}`)
    }
  })
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/default`
  await waitFor(`the default service account of ${namespace}`, () => target.api.exists(path))
  const world = await World.start(target.api, namespace, { market: { seed: 7, symbols: SYMBOLS } })
  // images that no node can pull here
  for (const image of (await example()).images) await target.nodes?.tagImage(IMAGES.world, image)

  const since = Math.floor(Date.now() / 1000) * 1000
  const user = await User.start({ target, namespace, exchange: world.exchange })
  context.after(() => user.end())
  const blocks = clusterPath()
  let said = ''
  let tested: Promise<string> | undefined
  for (const block of blocks) {
    if (block.includes(READS_BUCKET)) {
      // it takes as long as the first window does
      if (!blocks.some((one) => one.includes(HELM_TEST))) tested ??= helmTest(target, since)
      await committed(target, since)
    }
    const began = performance.now()
    const output = await user.run(block)
    said += output
    context.diagnostic(
      `${((performance.now() - began) / 1000).toFixed(1)} s: ${block.trim()}\n${output.trim()}`,
    )
  }
  const applied = await captures(target, since)
  for (const { metadata } of applied) made.add(metadata.namespace ?? '')
  assert.ok(applied.length > 0, `no L2Capture was applied:\n${said}`)
  tested ??= Promise.resolve(said)
  return { target, namespace: applied[0]?.metadata.namespace ?? '', captures: applied, tested: await tested }
}

describe('README.md on a real cluster', options, () => {
  it('its commands, literally, end in data; and what they show is so', async (context) => {
    const done = await followed(context)
    const { target, namespace } = done
    await committed(target, 0)

    await context.test('kubectl get l2c shows the truth', async () => {
      const truth = done.captures.map((capture) => {
        const { length } = symbolsOf(capture)
        return new RegExp(`^${capture.metadata.name} +BinanceUsdm +${length} +${length} +0 +True +\\d+`, 'm')
      })
      const show = () => call(target, 'kubectl', '--namespace', namespace, 'get', 'l2c')
      // a machine that stands still may have it say for a moment that a symbol is not live
      const shown = await waitFor(
        'kubectl get to show every capture live',
        async () => [await show()].find((text) => truth.every((line) => line.test(text))),
        { everyMs: 500, show },
      )
      context.diagnostic(`\n${shown}`)
      const [header = '', ...lines] = shown.trim().split('\n')
      assert.deepEqual(header.split(/\s+/), COLUMNS)
      assert.equal(lines.length, done.captures.length)
    })

    await context.test(
      'helm test proves a capture, with the operator found by the name of its Service',
      async () => {
        assert.match(done.tested, /Phase: +Succeeded/)
        assert.equal(done.tested.split('✔ it captured').length, 2, 'it is said once')
        assert.match(
          done.tested,
          /✔ the operator is ready\n[\s\S]*✔ it captured\n✔ \d+ rows in \d+ objects verify/,
        )
      },
    )

    await context.test('l2cap verify s3://… is clean, and a notebook reads the bucket', async (part) => {
      const dir = await mkdtemp(join(tmpdir(), 'l2cap-path-'))
      part.after(() => rm(dir, { recursive: true, force: true }))
      const forward = await Forward.open(target, namespace, 'service/minio', 9000)
      part.after(() => forward.close())
      const { secret, bucket } = await example()
      const [address, endpoint] = [`s3://${bucket}`, `http://127.0.0.1:${forward.port}`]
      const symbols = done.captures.flatMap(symbolsOf)
      // windows end with the minutes of the clock: the first one may be of a moment
      const { code, stdout, stderr } = await waitFor(
        `${PROVEN_SECONDS} seconds of each stream, or a fault`,
        async () => {
          const ran = await runL2cap(['verify', address, '--s3-endpoint', endpoint, '--json'], secret)
          return ran.code !== 0 || isProven(JSON.parse(ran.stdout), symbols) ? ran : undefined
        },
        { deadlineMs: COMMITTED_WITHIN_MS, everyMs: 2_000 },
      )
      assert.equal(code, 0, stderr + stdout)
      const { ok, problems, checked }: VerifyReport = JSON.parse(stdout)
      assert.deepEqual([ok, problems], [true, []])
      assert.ok(checked.rows > 0)

      const settings: Settings = {
        ...secret,
        L2CAP_BUCKET: address,
        AWS_ENDPOINT_URL_S3: endpoint,
        AWS_REGION: 'us-east-1',
      }
      const [first = ''] = await notebooks()
      const shown = (await executeNotebooks(dir, [first], settings)) as unknown as Shown
      const { figures } = shown['01_first_look']
      assert.ok(figures.windows >= 1 && figures.books > 100 && figures.trades > 0, JSON.stringify(figures))
    })

    await context.test(
      'Prometheus can read both processes, and finds in them every metric of alerts and dashboard',
      { skip: promtoolProblem() || false },
      async () => {
        const told = new Set<string>()
        for (const [component, port] of [
          ['operator', 8080],
          ['capture', 9090],
        ] as const) {
          const pods = await podsOf(target, namespace, component)
          assert.ok(pods.length > 0, component)
          for (const pod of pods) {
            const names = await metricsTold(await ask<string>(target, namespace, pod, port, '/metrics'))
            assert.ok(names.size > 30, `${pod}: ${names.size}`)
            for (const name of names) told.add(name)
          }
        }
        for (const file of ['alerts.yaml', 'dashboard.json']) {
          const read = metricsIn(await readFile(join(CHART, 'files', file), 'utf8'))
          assert.ok(read.length > 12, file)
          assert.deepEqual(
            read.filter((name) => !told.has(name)),
            [],
            file,
          )
        }
      },
    )
  })
})
