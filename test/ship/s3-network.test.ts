import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { test } from 'node:test'
import { makeCertificates } from '../s3/certificates.ts'
import { temporary } from './fixture.ts'
import { bucketAt, type Context, failureIn, fakeStore, listen, putTo, reply, TAKEN } from './s3-fixture.ts'

const BODY = Buffer.from('bytes')
const LARGE = Buffer.alloc(3 * 1024 * 1024, 7)

/** A proxy for HTTP and, by CONNECT, for HTTPS. It sends everything to `targetPort`, whatever name was asked for. */
async function startProxy(context: Context, targetPort: number, password = '') {
  const asked: string[] = []
  const refusal = (headers: http.IncomingHttpHeaders) =>
    password !== '' && headers['proxy-authorization'] !== `Basic ${Buffer.from(password).toString('base64')}`
  const server = http.createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    if (refusal(request.headers)) return void response.writeHead(407).end()
    const { host, pathname, search } = new URL(request.url ?? '')
    const { method } = request
    const headers = { ...request.headers, host }
    const onward = http.request(
      { host: '127.0.0.1', port: targetPort, method, headers, path: pathname + search },
      (back) => {
        response.writeHead(back.statusCode ?? 502, back.headers)
        back.pipe(response)
      },
    )
    request.pipe(onward)
  })
  server.on('connect', (request, socket: net.Socket) => {
    asked.push(`CONNECT ${request.url}`)
    if (refusal(request.headers)) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n')
      return
    }
    const onward = net.connect(targetPort, '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'))
    socket.pipe(onward).pipe(socket)
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      one.on('error', () => undefined) // whatever ends one end, ends the other
      one.on('close', () => other.destroy())
    }
    context.after(() => void socket.destroy())
  })
  const port = await listen(context, server)
  return { asked, url: `http://127.0.0.1:${port}`, port }
}

async function tlsStore(context: Context & Parameters<typeof temporary>[0]) {
  const directory = await temporary(context)
  const { keyPath, certPath, caPath } = makeCertificates(directory)
  const tls = { key: await readFile(keyPath, 'utf8'), cert: await readFile(certPath, 'utf8') }
  return { store: await fakeStore(context, TAKEN, { tls }), caFile: caPath }
}

test('proxy: plain requests go through HTTP_PROXY, large ones too', async (context) => {
  const store = await fakeStore(context, TAKEN)
  const proxy = await startProxy(context, store.port)
  const env = { HTTP_PROXY: proxy.url.replace('http://', '') }
  const bucket = bucketAt(context, 'http://store.invalid', {}, { env })
  await putTo(bucket, 'a.txt', BODY)
  await putTo(bucket, 'b.txt', LARGE)
  assert.deepEqual(
    proxy.asked.map((line) => line.split('?')[0]),
    ['PUT http://store.invalid/data/l2/a.txt', 'PUT http://store.invalid/data/l2/b.txt'],
  )
  assert.deepEqual(
    store.seen.map(({ body }) => body.byteLength),
    [BODY.byteLength, LARGE.byteLength],
  )
})

test('proxy: TLS goes through HTTPS_PROXY by CONNECT, to a store of a private authority, large bodies too', async (context) => {
  const { store, caFile } = await tlsStore(context)
  const proxy = await startProxy(context, store.port)
  const env = { https_proxy: proxy.url }
  const bucket = bucketAt(context, 'https://localhost:9000', { caFile }, { env })
  await putTo(bucket, 'a.txt', BODY)
  await putTo(bucket, 'b.txt', LARGE)
  assert.deepEqual([...new Set(proxy.asked)], ['CONNECT localhost:9000'])
  assert.equal(store.seen.at(-1)?.body.byteLength, LARGE.byteLength)
})

test('address: AWS is asked by virtual host in the region, or by path, as a proxy sees it', async (context) => {
  const { caFile } = await tlsStore(context)
  const proxy = await startProxy(context, 1)
  const env = { HTTPS_PROXY: proxy.url }
  const cases: readonly (readonly [object, string])[] = [
    [{}, 'data.s3.us-east-1.amazonaws.com:443'],
    [{ region: 'eu-west-1' }, 'data.s3.eu-west-1.amazonaws.com:443'],
    [{ region: 'cn-north-1' }, 'data.s3.cn-north-1.amazonaws.com.cn:443'],
    [{ forcePathStyle: true }, 's3.us-east-1.amazonaws.com:443'],
    [{ bucket: 'a.b.c' }, 's3.us-east-1.amazonaws.com:443'],
  ]
  for (const [config, host] of cases) {
    const bucket = bucketAt(context, 'unused', { endpoint: undefined, caFile, ...config }, { env })
    await failureIn(putTo(bucket, 'a.txt', BODY))
    assert.equal(proxy.asked.at(-1), `CONNECT ${host}`)
  }
})

test('proxy: NO_PROXY goes round it', async (context) => {
  const store = await fakeStore(context, TAKEN)
  const proxy = await startProxy(context, store.port)
  const env = { HTTP_PROXY: proxy.url, NO_PROXY: '127.0.0.1' }
  await putTo(bucketAt(context, store.endpoint, {}, { env }), 'a.txt', BODY)
  assert.deepEqual([proxy.asked.length, store.seen.length], [0, 1])
})

test('proxy: one that wants a password is told as such, for http and https; with it everything passes', async (context) => {
  const { store, caFile } = await tlsStore(context)
  const plain = await fakeStore(context, TAKEN)
  for (const [endpoint, port, name] of [
    ['https://localhost:9000', store.port, 'HTTPS_PROXY'],
    ['http://store.invalid', plain.port, 'HTTP_PROXY'],
  ] as const) {
    const proxy = await startProxy(context, port, 'user:proxyCANARY')
    const without = await failureIn(
      putTo(bucketAt(context, endpoint, { caFile }, { env: { [name]: proxy.url } }), 'a.txt', BODY),
    )
    assert.deepEqual([without.code, without.class], ['ProxyFailed', 'configuration'], without.message)
    assert.match(without.message, /the proxy wants a user and password/)
    const url = proxy.url.replace('//', '//user:proxyCANARY@')
    await putTo(bucketAt(context, endpoint, { caFile }, { env: { [name]: url } }), 'a.txt', BODY)
  }
})

test('proxy: one that is away, refuses, or is no address is told', async (context) => {
  const { caFile } = await tlsStore(context)
  const refusing = await startProxy(context, 1)
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['http://127.0.0.1:1', 'ConnectionFailed', /nothing listens/],
    [refusing.url, 'ProxyFailed', /the proxy does not open a way/],
    ['proxyCANARY:// no address', 'ProxyFailed', /HTTPS_PROXY is no address/],
  ]
  for (const [url, code, words] of cases) {
    const bucket = bucketAt(context, 'https://localhost:9000', { caFile }, { env: { HTTPS_PROXY: url } })
    const failure = await failureIn(putTo(bucket, 'a.txt', BODY))
    assert.deepEqual(
      [failure.code, words.test(failure.message)],
      [code, true],
      `${url}: ${failure.code} ${failure.message}`,
    )
    assert.doesNotMatch(failure.message, /CANARY/)
  }
})

test('TLS: a private authority is added to the usual ones; without it, and of another name, the error says so', async (context) => {
  const { store, caFile } = await tlsStore(context)
  await putTo(bucketAt(context, store.endpoint, { caFile }), 'a.txt', BODY)
  const unknown = await failureIn(putTo(bucketAt(context, store.endpoint), 'a.txt', BODY))
  assert.deepEqual([unknown.code, unknown.class], ['TlsFailed', 'configuration'])
  assert.match(unknown.message, /an authority that is not trusted; give it as storage\.s3\.caSecretName/)
  const missing = await failureIn(
    putTo(bucketAt(context, store.endpoint, { caFile: `${caFile}.no` }), 'a.txt', BODY),
  )
  assert.deepEqual([missing.code, missing.class], ['CaMissing', 'configuration'])
  const broken = path.join(path.dirname(caFile), 'broken.crt')
  await writeFile(broken, '-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n')
  const malformed = await failureIn(
    putTo(bucketAt(context, store.endpoint, { caFile: broken }), 'a.txt', BODY),
  )
  assert.deepEqual([malformed.code, malformed.class], ['CaMalformed', 'configuration'])
})

test('TLS: https to a port of http, and http to a port of https, are told apart from a wrong key', async (context) => {
  const { store, caFile } = await tlsStore(context)
  const plain = await fakeStore(context, reply(200))
  const https = await failureIn(
    putTo(bucketAt(context, plain.endpoint.replace('http:', 'https:')), 'a.txt', BODY),
  )
  assert.deepEqual([https.code, https.class], ['TlsFailed', 'configuration'], https.message)
  const http = await failureIn(
    putTo(bucketAt(context, store.endpoint.replace('https:', 'http:'), { caFile }), 'a.txt', BODY),
  )
  assert.notEqual(http.class, 'credential', http.message)
})
