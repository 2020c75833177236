import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type S3Server, s3Problem, startS3 } from '../s3/server.ts'
import { CLI, call, L2cap, simulated, type TestContext, temporary } from './l2cap.ts'

const BUCKET = 'market-data'
const problem = s3Problem('versitygw')
const needsServer = problem === '' ? { timeout: 1_200_000 } : { skip: problem }

interface World {
  readonly server: S3Server
  readonly file: string
  readonly env: Readonly<Record<string, string>>
  readonly args: readonly string[]
  readonly place: readonly string[]
}

/** A store, a simulated exchange, and a file that asks for a capture of the one into the other. */
async function world(t: TestContext, storage = ''): Promise<World> {
  const server = await startS3({ server: 'versitygw' })
  t.after(() => server.remove())
  await server.makeBucket(BUCKET)
  const [directory, sim] = [await temporary(t), await simulated(t)]
  const file = join(directory, 'capture.yaml')
  const place = `{bucket: ${BUCKET}, prefix: l2/a, endpoint: "${server.endpoint}"${storage}}`
  const head = 'apiVersion: l2cap.dev/v1alpha1\nkind: L2Capture\nmetadata: {name: majors}\n'
  const spec = `{exchange: BinanceUsdm, symbols: [BTCUSDT], rotationSeconds: 10, storage: {s3: ${place}}}`
  await writeFile(file, `${head}spec: ${spec}\n`)
  return {
    ...{ server, file },
    env: { AWS_ACCESS_KEY_ID: server.accessKey, AWS_SECRET_ACCESS_KEY: server.secretKey },
    args: ['run', file, '--spool', join(directory, 'spool'), '--endpoints', sim.endpoints],
    place: [`s3://${BUCKET}/l2/a`, '--s3-endpoint', server.endpoint],
  }
}

describe('a bucket at the command line', needsServer, () => {
  test('run ships to storage.s3, ls shows it, verify proves it; nothing tells a credential', async (t) => {
    const { server, args, env, place } = await world(t, ', credentialsSecretName: store')
    const run = new L2cap(t, args, [], CLI, env)
    await run.until('a window with rows is committed', () =>
      run.events('committed').some(({ rows }) => (rows['books20'] ?? 0) > 0),
    )
    run.child.kill('SIGTERM')
    assert.equal(await run.ended, 0, run.stderr)
    assert.match(
      run.stderr,
      /credentialsSecretName is for clusters; here credentials come from the environment/,
    )

    const listed = await call(t, ['ls', ...place], env)
    assert.equal(listed.code, 0, listed.stderr)
    assert.match(listed.stdout, /^exchange +symbol +stream .*\nBinanceUsdm +BTCUSDT +books20 /)
    const above = await call(t, ['ls', `s3://${BUCKET}`, ...place.slice(1)], env)
    assert.deepEqual(above, listed, 'from above as from the prefix')

    const verified = await call(t, ['verify', ...place, '--json'], env)
    assert.equal(verified.code, 0, verified.stdout + verified.stderr)
    const report = JSON.parse(verified.stdout)
    assert.deepEqual(report.problems, [])
    assert.equal(report.checked.manifests, run.events('committed').length)
    for (const secret of [server.secretKey, server.accessKey]) {
      for (const text of [run.stdout, run.stderr, listed.stdout, verified.stdout])
        assert.ok(!text.includes(secret))
    }
  })

  test('run without the store captures on, says why nothing is shipped, and ships all once the store is there', async (t) => {
    const { server, args, env, place } = await world(t)
    await server.stop()
    const run = new L2cap(t, args, [], CLI, env)
    await run.until('it says so before a window is due', () => run.events('check').length > 0)
    assert.match(run.events('check')[0]?.reason ?? '', /^ConnectionFailed: .*nothing listens/)
    await run.until('it says that it cannot ship', () => run.events('shipping').length > 0)
    assert.match(
      run.events('shipping')[0]?.reason ?? '',
      /^ConnectionFailed: s3:\/\/market-data\/l2\/a .*nothing listens/,
    )
    await run.until('the book is live all the same', () => run.events('live').length > 0)
    await server.start()
    await run.until('it ships again', () => run.events('committed').length > 0)
    run.child.kill('SIGTERM')
    assert.equal(await run.ended, 0, run.stderr)
    assert.equal((await call(t, ['verify', ...place], env)).code, 0)
  })

  test('run, ls and verify tell a wrong key, region, bucket and an empty place apart', async (t) => {
    const { server, args, env, place } = await world(t)
    const none = await call(t, args)
    assert.deepEqual([none.code, none.stdout], [2, ''])
    assert.match(
      none.stderr,
      /there are no credentials for s3:\/\/market-data\/l2\/a: set AWS_ACCESS_KEY_ID and/,
    )
    const beside = await call(t, [...args, '--out', './d'], env)
    assert.deepEqual([beside.code, beside.stdout], [2, ''])
    assert.match(beside.stderr, /says storage\.s3, and --out a directory; drop --out for the bucket, or/)
    const malformed = { ...env, AWS_SECRET_ACCESS_KEY: 'two words' }
    for (const words of [args, ['verify', ...place]]) {
      const refused = await call(t, words, malformed)
      assert.deepEqual([refused.code, refused.stdout], [2, ''])
      assert.match(refused.stderr, /the credentials for s3:\/\/market-data\/l2\/a cannot be used: they hold/)
    }
    const [address = '', ...options] = place
    const cases: readonly (readonly [readonly string[], Readonly<Record<string, string>>, RegExp])[] = [
      [place, env, /there is no manifest below s3:\/\/market-data\/l2\/a; give the bucket and prefix/],
      [place, { ...env, AWS_SECRET_ACCESS_KEY: 'wrong' }, /secret key does not belong to the access key/],
      [place, { ...env, AWS_ACCESS_KEY_ID: 'wrong' }, /does not know this access key/],
      [[...place, '--s3-region', 'eu-west-1'], env, /in the region us-east-1; set --s3-region/],
      [
        ['s3://no-such-bucket', ...options],
        env,
        /there is no such bucket; create it, or correct the bucket in s3:/,
      ],
      [[address], { ...env, AWS_ENDPOINT_URL_S3: server.endpoint }, /there is no manifest below/],
      [[...place, '--s3-ca', '/no/such.pem'], env, /certificate \/no\/such\.pem cannot be read \(ENOENT\)/],
    ]
    for (const [words, environment, message] of cases) {
      const verified = await call(t, ['verify', ...words], environment)
      assert.deepEqual([verified.code, verified.stdout], [2, ''], verified.stderr)
      assert.match(verified.stderr, message)
      assert.ok(!verified.stderr.includes(server.secretKey))
    }
    const listed = await call(t, ['ls', ...place], { ...env, AWS_SECRET_ACCESS_KEY: 'wrong' })
    assert.deepEqual([listed.code, /secret key does not belong/.test(listed.stderr)], [2, true])
  })
})
