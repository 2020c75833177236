/** The bundle and a real S3 server: what a package loads late, or in another shape, works in it as well. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { bundle } from '../../bundle.ts'
import { s3Problem, startS3 } from '../s3/server.ts'
import { startSim } from '../sim/mod.ts'
import { CaptureProcess } from '../support/capture.ts'

const SERVER = 'versitygw'
const BUCKET = 'market-data'
const DEADLINE_MS = 180_000
const problem = s3Problem(SERVER)

describe('the bundle of the image, with S3', problem === '' ? {} : { skip: problem }, () => {
  let home = ''
  let app = ''

  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'l2cap-image-s3-'))
    app = join(home, 'app')
    await bundle(app)
  })
  after(() => rm(home, { recursive: true, force: true }))

  it('capture: ships to the bucket with the credentials of files, and the bundled verifier reads it there', async (context) => {
    const server = await startS3({ server: SERVER })
    context.after(() => server.remove())
    await server.makeBucket(BUCKET)
    const { endpoint, accessKey, secretKey } = server
    const credentialsDir = join(home, 'secret')
    await mkdir(credentialsDir)
    await writeFile(join(credentialsDir, 'AWS_ACCESS_KEY_ID'), accessKey)
    await writeFile(join(credentialsDir, 'AWS_SECRET_ACCESS_KEY'), secretKey)
    const sim = await startSim({ seed: 7, symbols: ['BTCUSDT'] })
    context.after(() => sim.stop())
    const capture = new CaptureProcess({
      ...{ main: join(app, 'capture.js'), dir: home, symbol: 'BTCUSDT', endpoints: sim.endpoints },
      rotationSeconds: 2,
      storage: { s3: { bucket: BUCKET, prefix: 'l2', endpoint, credentialsDir } },
    })
    context.after(() => capture.kill())
    await capture.until('the first commit', ({ ship }) => ship.lastCommit !== null, DEADLINE_MS)
    await capture.drain()

    const words = ['verify', `s3://${BUCKET}/l2`, '--s3-endpoint', endpoint, '--json']
    const env = { ...process.env, AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey }
    const verify = (secret: string) =>
      spawnSync(process.execPath, [join(app, 'cli.js'), ...words], {
        ...{ encoding: 'utf8', timeout: DEADLINE_MS, env: { ...env, AWS_SECRET_ACCESS_KEY: secret } },
      })
    const { status, stdout, stderr } = verify(secretKey)
    assert.equal(status, 0, stdout + stderr)
    const report: unknown = JSON.parse(stdout)
    const { ok, checked } = report as { ok: boolean; checked: { rows: number; objects: number } }
    assert.ok(ok && checked.rows > 0 && checked.objects > 0, stdout)
    assert.notEqual(verify('another').status, 0, 'it does ask the store')
  })
})
