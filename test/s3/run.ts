/**
 * `npm run test:s3 [-- --server versitygw|minio]`: the tests that need a store, against a server of this kind, or
 * against somebody's own store where `L2CAP_TEST_S3_ENDPOINT` and its like are set (test/s3/store.ts has them all).
 */
import { parseArgs } from 'node:util'
import { longTestFiles, runTests, testFiles } from '../support/suite.ts'
import { serverKind } from './binary.ts'
import { givenStore } from './store.ts'

const HELP = `npm run test:s3 [-- --server versitygw|minio]

The tests that need an S3 store, against a server that is built (with Go, once) and started for them; or against a
store of your own, which is neither stopped nor filled, and in which a prefix of the test's own is used and emptied:

  L2CAP_TEST_S3_ENDPOINT    http(s)://host[:port]
  L2CAP_TEST_S3_BUCKET      a bucket that is there
  L2CAP_TEST_S3_ACCESS_KEY, L2CAP_TEST_S3_SECRET_KEY
  L2CAP_TEST_S3_REGION      default us-east-1
  L2CAP_TEST_S3_CA          PEM file of a private authority
`

/** Folders with tests of stores, and which of their files those are; examples are read from a folder and from a store. */
const FOLDERS = ['s3', 'ship', 'cli', 'process', 'examples']
const OF_STORES = /\/s3\/[^/]+\.test\.ts$|\/s3(-real)?\.test\.ts$|\/examples\.test\.ts$/
/** They bring their evil store along, whatever else there is. */
const WITHOUT_STORE = /\/(evil|day\.long)\.test\.ts$/

try {
  const { values } = parseArgs({ options: { server: { type: 'string' }, help: { type: 'boolean' } } })
  if (values.help === true) {
    process.stdout.write(HELP)
    process.exit(0)
  }
  // the tests run in processes of their own
  if (values.server !== undefined) process.env['L2CAP_TEST_S3_SERVER'] = values.server
  const given = givenStore()
  if (given !== undefined && values.server !== undefined) {
    throw new Error('--server makes no sense with L2CAP_TEST_S3_ENDPOINT; leave one of them out')
  }
  process.stdout.write(`tests of S3 against ${given?.endpoint ?? serverKind()}\n`)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exit(2)
}
const started = performance.now()
const files = [...testFiles(FOLDERS), ...longTestFiles(['s3'])].filter(
  (file) => OF_STORES.test(file) && !WITHOUT_STORE.test(file),
)
const passed = await runTests(files)
const seconds = ((performance.now() - started) / 1000).toFixed(0)
process.stdout.write(`\n${passed ? 'all tests of S3 passed' : 'tests of S3 FAILED'} in ${seconds} s\n`)
process.exit(passed ? 0 : 1)
