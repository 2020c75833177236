import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { before, describe, it } from 'node:test'
import { ClusterCaptureSpec } from '../../api/spec.ts'
import { type ApiClient, ApiFailure, type Cluster, clusterProblem, openCluster } from '../cluster/mod.ts'
import { waitFor } from '../support/wait.ts'
import { AS_IT_IS, capture, capturesPath, LEAST, ownDefinition, type Stored, verdictOf } from './captures.ts'

const skip = clusterProblem() || false

const s3 = (change: object) => ({ storage: { s3: { ...LEAST.storage.s3, ...change } } })
const limits = (change: object) => ({ resources: { limits: change } })

/** What must be taken, by name: the change to the least spec. */
const GOOD: Readonly<Record<string, object>> = {
  'the least': {},
  'symbols beyond ASCII': { symbols: ['币安人生USDT', 'BTCUSDT_261225', '1000SHIBUSDT'] },
  'the longest symbol': { symbols: ['X'.repeat(64)] },
  'the most bytes of a symbol': { symbols: [`${'币'.repeat(26)}ABCDEF`] },
  'five hundred symbols': { symbols: Array.from({ length: 500 }, (_, i) => `S${i}${'币'.repeat(20)}`) },
  'one stream': { streams: ['mark_price'] },
  'the shortest windows': { rotationSeconds: 10 },
  'the longest windows': { rotationSeconds: 3600 },
  'an IPv4 endpoint': s3({ endpoint: 'http://127.0.0.1:9000' }),
  'an IPv6 endpoint': s3({ endpoint: 'https://[2001:db8::1]:9000/' }),
  'an endpoint in the cluster': s3({ endpoint: 'http://minio.stores.svc.cluster.local:9000/s3/' }),
  'a prefix of several parts': s3({ prefix: 'l2/prod/a=b' }),
  'no prefix': s3({ prefix: '' }),
  'Secrets by name': s3({ credentialsSecretName: 'l2cap-s3', caSecretName: 'minio-ca' }),
  'quantities as numbers and as texts': {
    resources: { requests: { cpu: 1, memory: '192Mi' }, limits: { cpu: '1.5', memory: '0.5Gi' } },
  },
  'equal requests and limits': { resources: { requests: { cpu: '1' }, limits: { cpu: '1000m' } } },
  'room for just the spool': { ...limits({ 'ephemeral-storage': '5Gi' }), spool: { sizeLimit: '5120Mi' } },
  'the smallest spool': { spool: { sizeLimit: '16Mi' } },
  suspended: { suspend: true },
}

/** What must be refused: the change, and what the server says. */
const BAD: Readonly<Record<string, readonly [object, RegExp]>> = {
  'no symbol': [{ symbols: [] }, /spec\.symbols: Invalid value.* at least 1 items/],
  'a symbol twice': [{ symbols: ['A', 'B', 'A'] }, /spec\.symbols\[2\]: Duplicate value: "A"/],
  'too many symbols': [
    { symbols: Array.from({ length: 501 }, (_, i) => `S${i}`) },
    /spec\.symbols: Too many: 501: must have at most 500 items/,
  ],
  'a symbol with a slash': [{ symbols: ['../etc'] }, /spec\.symbols\[0\].*should match/],
  'a symbol with a space': [{ symbols: ['A B'] }, /spec\.symbols\[0\].*should match/],
  'a symbol that is a folder': [{ symbols: ['..'] }, /spec\.symbols\[0\].*a symbol is not "\." or "\.\."/],
  'a symbol too long': [{ symbols: ['X'.repeat(65)] }, /spec\.symbols\[0\]: Too long/],
  'a symbol too long for a path': [
    { symbols: ['币'.repeat(27)] },
    /spec\.symbols\[0\].*at most 240 bytes once encoded for a path/,
  ],
  'an unknown exchange': [{ exchange: 'Nyse' }, /spec\.exchange: Unsupported value: "Nyse".*"BinanceUsdm"/],
  'a stream twice': [{ streams: ['books', 'books'] }, /spec\.streams\[1\]: Duplicate value/],
  'an unknown stream': [{ streams: ['candles'] }, /spec\.streams\[0\]: Unsupported value/],
  'no level': [{ bookLevels: 0 }, /spec\.bookLevels.*greater than or equal to 1/],
  'too many levels': [{ bookLevels: 51 }, /spec\.bookLevels.*less than or equal to 50/],
  'half a level': [{ bookLevels: 1.5 }, /spec\.bookLevels: .*must be of type int32/],
  'windows that do not divide a day': [
    { rotationSeconds: 700 },
    /spec\.rotationSeconds: Invalid value: 700: must divide a day \(86400 s\) evenly/,
  ],
  'windows too short': [{ rotationSeconds: 5 }, /spec\.rotationSeconds.*greater than or equal to 10/],
  'guards out of range': [{ guards: { staleAfterSeconds: 0 } }, /spec\.guards\.staleAfterSeconds/],
  'a guard that there is not': [{ guards: { trust: true } }, /unknown field "spec\.guards\.trust"/],
  'a spool that is no quantity': [{ spool: { sizeLimit: '5 GB' } }, /spec\.spool\.sizeLimit.*should match/],
  'a spool too small': [{ spool: { sizeLimit: '16M' } }, /spec\.spool\.sizeLimit.*"16M": at least 16Mi/],
  'a spool too large': [{ spool: { sizeLimit: '65Ti' } }, /spec\.spool\.sizeLimit.*at most 64Ti/],
  'no storage': [{ storage: {} }, /spec\.storage\.s3: Required value/],
  'storage of its own': [
    { storage: { local: { path: '/data' } } },
    /unknown field "spec\.storage\.local"|spec\.storage\.s3: Required value/,
  ],
  'a bucket in capitals': [s3({ bucket: 'Data' }), /spec\.storage\.s3\.bucket.*should match/],
  'a prefix with a slash before it': [s3({ prefix: '/a' }), /spec\.storage\.s3\.prefix.*should match/],
  'a prefix that leads upwards': [
    s3({ prefix: 'a/../b' }),
    /spec\.storage\.s3\.prefix.*no part "\." or "\.\."/,
  ],
  'an endpoint with a password': [s3({ endpoint: 'https://me:secret@store' }), /s3\.endpoint.*should match/],
  'an endpoint with a query': [s3({ endpoint: 'https://store/?x=1' }), /s3\.endpoint.*should match/],
  'an endpoint with a fragment': [s3({ endpoint: 'https://store/#x' }), /s3\.endpoint.*should match/],
  'an endpoint of another protocol': [s3({ endpoint: 'ftp://store' }), /s3\.endpoint.*should match/],
  'an endpoint whose port there is not': [s3({ endpoint: 'http://store:65536' }), /s3\.endpoint/],
  'an endpoint whose address there is not': [s3({ endpoint: 'http://256.0.0.1' }), /s3\.endpoint/],
  'half an IPv6 endpoint': [s3({ endpoint: 'http://[2001:db8]' }), /an IPv6 address between its brackets/],
  'a Secret elsewhere': [s3({ credentialsSecretName: '../secret' }), /credentialsSecretName.*should match/],
  'keys in the clear': [s3({ accessKeyId: 'AKID' }), /unknown field "spec\.storage\.s3\.accessKeyId"/],
  'a resource that there is not': [
    limits({ mem: '1Gi' }),
    /spec\.resources\.limits.*only cpu, memory, ephemeral-storage/,
  ],
  'more resources than there are': [
    limits({ cpu: 1, memory: 1, 'ephemeral-storage': '9Gi', gpu: 1 }),
    /spec\.resources\.limits: Too many: 4/,
  ],
  'a quantity that is none': [limits({ memory: '1 GB' }), /spec\.resources\.limits\.memory.*should match/],
  'a negative quantity': [limits({ cpu: -1 }), /spec\.resources\.limits\.cpu/],
  'a request above its limit': [
    { resources: { requests: { memory: '1Gi' }, limits: { memory: '1G' } } },
    /spec\.resources.*a request must not be above its limit/,
  ],
  'a limit below the spool': [
    limits({ 'ephemeral-storage': '4Gi' }),
    /`resources\.limits\.ephemeral-storage` must not be below `spool\.sizeLimit`/,
  ],
  'an image': [{ image: 'evil' }, /unknown field "spec\.image"/],
}

describe('the definition on a real API server', { skip }, () => {
  let cluster: Cluster
  let api: ApiClient
  before(async () => {
    cluster = await openCluster()
    api = cluster.api
  })

  for (const [name, change] of Object.entries(GOOD)) {
    it(`takes, as zod does: ${name}`, async () => {
      const spec = { ...LEAST, ...change }
      const { data, error } = ClusterCaptureSpec.safeParse(spec)
      assert.equal(error, undefined)
      const verdict = await verdictOf(api, 'default', capture(spec))
      assert.ok('stored' in verdict, JSON.stringify(verdict))
      // the defaults, too, also those within defaults
      assert.deepEqual(ClusterCaptureSpec.parse(verdict.stored.spec), data)
      if (!('resources' in spec)) assert.deepEqual(verdict.stored.spec, data)
    })
  }

  for (const [name, [change, says]] of Object.entries(BAD)) {
    it(`refuses, as zod does: ${name}`, async () => {
      const spec = { ...LEAST, ...change }
      assert.equal(ClusterCaptureSpec.safeParse(spec).success, false)
      const verdict = await verdictOf(api, 'default', capture(spec))
      assert.ok('refused' in verdict, JSON.stringify(verdict))
      assert.match(verdict.refused, says)
    })
  }

  it('names are such that pods and labels can carry them', async () => {
    for (const name of ['m', 'a'.repeat(63), '1-majors']) {
      assert.ok('stored' in (await verdictOf(api, 'default', capture(LEAST, name))), name)
    }
    for (const [name, says] of [
      ['a'.repeat(64), /metadata\.name: Too long/],
      ['majors.eu', /metadata\.name: Invalid value.*should match/],
    ] as const) {
      const verdict = await verdictOf(api, 'default', capture(LEAST, name))
      assert.ok('refused' in verdict, name)
      assert.match(verdict.refused, says)
    }
  })

  it('unknown fields are dropped where the client does not mind', async (t) => {
    const namespace = await cluster.namespace(t, 'crd')
    const path = `${capturesPath(namespace)}?fieldValidation=Ignore`
    const spec = { ...LEAST, image: 'evil', guards: { trust: true } }
    const stored = await api.create<Stored>(path, capture(spec))
    assert.deepEqual(stored.spec, ClusterCaptureSpec.parse(LEAST))
  })

  it('fields select: exchange, suspend, bucket', async (t) => {
    const namespace = await cluster.namespace(t, 'crd')
    const path = capturesPath(namespace)
    await api.create(path, capture(LEAST, 'on'))
    await api.create(path, capture({ ...LEAST, ...s3({ bucket: 'other' }), suspend: true }, 'off'))
    const names = async (selector: string) => {
      const found = await api.list<Stored>(`${path}?fieldSelector=${encodeURIComponent(selector)}`)
      return found.map(({ metadata }) => metadata.name)
    }
    assert.deepEqual(await names('spec.exchange=BinanceUsdm'), ['off', 'on'])
    assert.deepEqual(await names('spec.suspend=true'), ['off'])
    assert.deepEqual(await names('spec.storage.s3.bucket!=other'), ['on'])
  })

  it('the exchange is immutable, and all else is not', async (t) => {
    const group = `x${randomBytes(4).toString('hex')}.l2cap.test`
    await ownDefinition(t, api, group, (text) => text.replace('["BinanceUsdm"]', '["BinanceUsdm","Other"]'))
    const namespace = await cluster.namespace(t, 'crd')
    const path = capturesPath(namespace, group)
    await waitFor('an object to be stored', () =>
      api.create(path, capture(LEAST, 'majors', group)).then(
        () => true,
        () => false,
      ),
    )
    await assert.rejects(api.patch(`${path}/majors`, { spec: { exchange: 'Other' } }), {
      status: 422,
      message: /spec\.exchange: Invalid value: "Other": `exchange` is immutable: create another L2Capture/,
    })
    const changed = await api.patch<Stored>(`${path}/majors`, {
      spec: { symbols: ['ETHUSDT'], storage: { s3: { bucket: 'elsewhere' } }, rotationSeconds: 60 },
    })
    assert.deepEqual(changed.spec['symbols'], ['ETHUSDT'])
  })

  it('a rule made later leaves alone what is stored, until it is touched', async (t) => {
    const group = `x${randomBytes(4).toString('hex')}.l2cap.test`
    const apply = await ownDefinition(t, api, group, (text) => text.replace('"maximum":50', '"maximum":500'))
    const namespace = await cluster.namespace(t, 'crd')
    const path = capturesPath(namespace, group)
    const old = capture({ ...LEAST, bookLevels: 400 }, 'majors', group)
    await waitFor('an object to be stored', () =>
      api.create(path, old).then(
        () => true,
        () => false,
      ),
    )
    await apply(AS_IT_IS)
    const another = capture({ ...LEAST, bookLevels: 400 }, 'other', group)
    await waitFor('the new rule to count', () =>
      api.create(`${path}?dryRun=All`, another).then(
        () => false,
        // whatever else goes wrong meanwhile is no rule
        (error: unknown) => error instanceof ApiFailure && error.status === 422,
      ),
    )
    const suspended = await api.patch<Stored>(`${path}/majors`, { spec: { suspend: true } })
    assert.equal(suspended.spec['bookLevels'], 400)
    await assert.rejects(api.patch(`${path}/majors`, { spec: { bookLevels: 300 } }), { status: 422 })
    await api.patch(`${path}/majors`, { spec: { bookLevels: 50 } })
  })
})
