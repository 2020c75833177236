import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  ConfigError,
  ProcessStorage,
  parseProcessConfig,
  podStorage,
  S3_CA_FILE,
  S3_CREDENTIALS_DIR,
  validate,
} from '../../api/config.ts'
import { bytesOfQuantity } from '../../api/quantity.ts'
import { HALT_EXIT_CODES, isHaltReason } from '../../api/reasons.ts'
import { L2Capture } from '../../api/spec.ts'
import { Storage } from '../../api/storage.ts'
import { streamPath } from '../../api/streams.ts'

const LEAST = {
  exchange: 'BinanceUsdm',
  symbol: 'BTCUSDT',
  spool: { dir: '/spool' },
  storage: { local: { path: '/data' } },
}

const resource = (spec: object) => ({
  apiVersion: 'l2cap.dev/v1alpha1',
  kind: 'L2Capture',
  metadata: { name: 'majors' },
  spec: { exchange: 'BinanceUsdm', symbols: ['BTCUSDT'], storage: { local: { path: 'data' } }, ...spec },
})

describe('configuration of a process', () => {
  it('fills in what may be left out', () => {
    const config = parseProcessConfig(JSON.stringify(LEAST), 'L2CAP_CONFIG')
    assert.deepEqual(config.streams, ['books', 'depth', 'trades', 'mark_price'])
    assert.equal(config.bookLevels, 20)
    assert.equal(config.rotationSeconds, 300)
    assert.deepEqual(config.guards, { staleAfterSeconds: 5, clockSkewMillis: 500, auditSeconds: 600 })
    assert.equal(config.spool.sizeLimitBytes, 5 * 2 ** 30)
    assert.deepEqual(config.writer, { capture: '', uid: '', pod: '', podUid: '', node: '' })
  })

  for (const [name, change, message] of [
    ['an unknown exchange', { exchange: 'Nyse' }, /exchange: .*BinanceUsdm/],
    ['a misspelt field', { rotationSecond: 60 }, /Unrecognized key: "rotationSecond"/],
    [
      'a rotation that does not divide a day',
      { rotationSeconds: 7 },
      /rotationSeconds: must divide a day \(86400 s\) evenly/,
    ],
    ['too many levels', { bookLevels: 51 }, /bookLevels: /],
    ['no stream', { streams: [] }, /streams: /],
    ['a stream twice', { streams: ['books', 'books'] }, /streams: each stream once/],
    [
      'a symbol with a slash',
      { symbol: '../etc' },
      /symbol: a symbol has no spaces, slashes or control characters/,
    ],
    [
      'two kinds of storage',
      { storage: { local: { path: 'a' }, s3: { bucket: 'abc' } } },
      /storage: give exactly one of s3 and local/,
    ],
    ['no storage', { storage: {} }, /storage: give exactly one of s3 and local/],
    ['endpoints that are no address', { endpoints: 'localhost' }, /endpoints: /],
    [
      'endpoints with a password',
      { endpoints: 'http://me:secret@localhost' },
      /endpoints: an address such as http:\/\/127\.0\.0\.1:8080, without user, query or fragment/,
    ],
    ['endpoints with a query', { endpoints: 'http://localhost/?x=1' }, /endpoints: an address such as/],
    ['a symbol too long for a path', { symbol: '币'.repeat(27) }, /symbol: at most 240 bytes once encoded/],
    ['a spool without a directory', { spool: {} }, /spool\.dir: /],
    ['a port out of range', { port: 70_000 }, /port: /],
  ] as const) {
    it(`${name} is refused by name`, () => {
      assert.throws(
        () => parseProcessConfig(JSON.stringify({ ...LEAST, ...change }), 'L2CAP_CONFIG'),
        (error: unknown) =>
          error instanceof ConfigError &&
          /^L2CAP_CONFIG is not valid:/.test(error.message) &&
          message.test(error.message),
      )
    })
  }

  it('a text that is no JSON is refused', () => {
    assert.throws(() => parseProcessConfig('{', 'config.json'), /^ConfigError: config\.json is no JSON/)
  })
})

describe('the resource', () => {
  it('symbols beyond ASCII are symbols', () => {
    const parsed = validate(L2Capture, resource({ symbols: ['币安人生USDT', 'BTCUSDT_261225'] }), 'x.yaml')
    assert.deepEqual(parsed.spec.symbols, ['币安人生USDT', 'BTCUSDT_261225'])
  })

  for (const [name, spec] of [
    ['a symbol twice', { symbols: ['A', 'A'] }],
    ['no symbol', { symbols: [] }],
    ['five hundred and one symbols', { symbols: Array.from({ length: 501 }, (_, i) => `S${i}`) }],
    ['a rotation under ten seconds', { rotationSeconds: 5 }],
    ['a spool limit that is no quantity', { spool: { sizeLimit: '5 GB' } }],
    ['a spool limit below 16Mi', { spool: { sizeLimit: '16M' } }],
    ['guards out of range', { guards: { staleAfterSeconds: 0 } }],
    ['an image', { image: 'evil' }],
  ] as const) {
    it(`${name} is refused`, () => {
      assert.throws(() => validate(L2Capture, resource(spec), 'x.yaml'), ConfigError)
    })
  }

  it('quantities are bytes', () => {
    assert.equal(bytesOfQuantity('5Gi'), 5 * 2 ** 30)
    assert.equal(bytesOfQuantity('1.5k'), 1500)
    assert.throws(() => bytesOfQuantity('5 GB'), RangeError)
  })
})

describe('reasons', () => {
  it('exit codes are distinct and from 10 on', () => {
    const codes = Object.values(HALT_EXIT_CODES)
    assert.equal(new Set<number>(codes).size, codes.length)
    assert.ok(codes.every((code) => code >= 10))
    assert.equal(isHaltReason('CrossedBook'), true)
    assert.equal(isHaltReason('toString'), false)
  })

  it('paths carry the number of levels', () => {
    assert.equal(streamPath('books', 20), 'books20')
    assert.equal(streamPath('depth', 20), 'depth')
  })
})

describe('storage.s3', () => {
  const place = {
    bucket: 'market-data',
    prefix: 'l2/a',
    region: 'eu-west-1',
    endpoint: 'https://store.example:9000',
  }
  const parsed = (s3: object) => Storage.safeParse({ s3 })

  it('a pod finds its Secrets at fixed places, whatever they are called', () => {
    const secrets = { credentialsSecretName: 'l2cap-s3', caSecretName: 'minio-ca' }
    const storage = Storage.parse({ s3: { ...place, ...secrets } })
    assert.deepEqual(podStorage(storage), {
      s3: { ...place, credentialsDir: S3_CREDENTIALS_DIR, caFile: S3_CA_FILE },
    })
    assert.deepEqual(podStorage(Storage.parse({ s3: place })), { s3: place })
    assert.deepEqual(ProcessStorage.parse(podStorage(storage)), podStorage(storage))
  })

  it('a prefix is one that every store takes as it is', () => {
    for (const prefix of ['', 'a', 'l2/prod', 'a=b/c+d', "x!_.*'()"]) {
      assert.equal(parsed({ ...place, prefix }).success, true, prefix)
    }
    for (const prefix of [
      '/a',
      'a/',
      'a//b',
      '.',
      'a/../b',
      'a b',
      'a%2Fb',
      'a\\b',
      'ä',
      'a\n',
      'x'.repeat(257),
    ]) {
      assert.equal(parsed({ ...place, prefix }).success, false, prefix)
    }
  })

  it('names and addresses are bounded, and an address holds no password', () => {
    for (const change of [
      { bucket: 'ab' },
      { bucket: 'Upper' },
      { bucket: '../x' },
      { region: 'eu west' },
      { endpoint: 'ftp://store' },
      { endpoint: 'https://user:password@store' },
      { endpoint: 'https://store/?x=1' },
      { credentialsSecretName: '../secret' },
      { accessKeyId: 'AKID' },
    ]) {
      assert.equal(parsed({ ...place, ...change }).success, false, JSON.stringify(change))
    }
  })
})
