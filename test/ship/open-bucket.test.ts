import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { BucketError } from '../../capture/ship/bucket.ts'
import { openBucket } from '../../capture/ship/open-bucket.ts'
import { sha256, temporary } from './fixture.ts'

test('open: what the configuration leaves open comes from the usual variables, and what it says comes first', () => {
  const env = {
    ...{ AWS_ENDPOINT_URL_S3: 'https://store.example:9000', AWS_ENDPOINT_URL: 'https://other.example' },
    ...{ AWS_REGION: 'eu-west-1', AWS_DEFAULT_REGION: 'eu-west-2' },
  }
  const described = (s3: object, variables: Readonly<Record<string, string>>) =>
    openBucket({ s3: { bucket: 'data', prefix: 'l2', ...s3 } }, variables).description
  assert.equal(described({}, {}), 's3://data/l2 (AWS, region us-east-1)')
  assert.equal(described({}, { AWS_DEFAULT_REGION: 'eu-west-2' }), 's3://data/l2 (AWS, region eu-west-2)')
  assert.equal(
    described({ region: 'ap-south-1' }, { AWS_REGION: 'eu-west-1' }),
    's3://data/l2 (AWS, region ap-south-1)',
  )
  assert.equal(described({}, env), 's3://data/l2 (https://store.example:9000)')
  assert.equal(
    described({}, { AWS_ENDPOINT_URL: env.AWS_ENDPOINT_URL }),
    's3://data/l2 (https://other.example)',
  )
  assert.equal(described({ endpoint: 'http://mine.example' }, env), 's3://data/l2 (http://mine.example)')
  assert.equal(described({ prefix: '' }, { AWS_REGION: '' }), 's3://data (AWS, region us-east-1)')
  for (const endpoint of ['store:9000', 'https://user:passwordCANARY@store']) {
    assert.throws(
      () => described({}, { AWS_ENDPOINT_URL_S3: endpoint }),
      (error: unknown) =>
        error instanceof BucketError && error.class === 'configuration' && !/CANARY/.test(error.message),
    )
  }
})

test('open: a directory is one, and nothing is no storage', async (context) => {
  const directory = await temporary(context)
  const bucket = openBucket({ local: { path: directory } }, {})
  await bucket.put('a.json', Buffer.from('{}'), sha256(Buffer.from('{}')))
  assert.equal(bucket.description, `directory ${path.resolve(directory)}`)
  assert.throws(() => openBucket({}, {}), { code: 'storage_missing' })
})
