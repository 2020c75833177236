import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { bucketAt, type Context, failureIn, fakeStore, putTo, TAKEN } from './s3-fixture.ts'

/** Far below those of a capture, so that a test need not wait for them; silence is the longest but the whole. */
const DEADLINES = { connectMs: 300, silenceMs: 600, baseMs: 60_000, bytesPerSecondMin: 64 * 1024 }
/** Where a test wants another deadline to strike. */
const NEVER_MS = 60_000
const IN_TIME = { timeout: 20_000 }
const LARGE = Buffer.alloc(24 * 1024 * 1024, 1)

/** A server of bare sockets, which tells those that are open. */
async function rawServer(context: Context, onSocket: (socket: net.Socket) => void) {
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined) // the other side ends it: that is the point
    socket.on('close', () => sockets.delete(socket))
    onSocket(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const { port } = server.address() as AddressInfo
  return { endpoint: `http://127.0.0.1:${port}`, sockets }
}

/** The failure, which must be a Timeout within [fromMs, toMs], with every socket ended soon after. */
async function assertTimesOut(
  work: () => Promise<unknown>,
  sockets: ReadonlySet<net.Socket>,
  [fromMs, toMs]: readonly [number, number],
): Promise<void> {
  const startedMs = performance.now()
  const failure = await failureIn(work())
  const tookMs = performance.now() - startedMs
  assert.deepEqual([failure.code, failure.class], ['Timeout', 'transient'], failure.message)
  assert.ok(tookMs >= fromMs * 0.9 && tookMs < toMs, `after ${tookMs} ms, expected ${fromMs} to ${toMs}`)
  // one that is not read does not see its end either
  for (const socket of sockets) socket.resume()
  const deadline = performance.now() + 5000
  while (sockets.size > 0) {
    assert.ok(performance.now() < deadline, `${sockets.size} sockets are still open`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test(
  'deadline: a store that takes the connection and never answers ends by silence',
  IN_TIME,
  async (context) => {
    const { endpoint, sockets } = await rawServer(context, (socket) => void socket.resume())
    const bucket = bucketAt(context, endpoint, {}, { deadlines: DEADLINES })
    await assertTimesOut(() => putTo(bucket, 'a.txt', Buffer.from('x')), sockets, [600, 5000])
    await assertTimesOut(() => bucket.get('a.txt'), sockets, [600, 5000])
  },
)

test('deadline: TLS that is never spoken ends', IN_TIME, async (context) => {
  const { endpoint, sockets } = await rawServer(context, () => undefined)
  const bucket = bucketAt(context, endpoint.replace('http:', 'https:'), {}, { deadlines: DEADLINES })
  await assertTimesOut(() => bucket.get('a.txt'), sockets, [300, 5000])
})

test('deadline: an upload that the store stops reading ends by silence', IN_TIME, async (context) => {
  const { endpoint, sockets } = await rawServer(
    context,
    (socket) => void socket.once('data', () => socket.pause()),
  )
  const bucket = bucketAt(context, endpoint, {}, { deadlines: DEADLINES })
  await assertTimesOut(() => putTo(bucket, 'a.txt', LARGE), sockets, [600, 8000])
})

test('deadline: a download that stops in the middle ends by silence', IN_TIME, async (context) => {
  const { endpoint, sockets } = await rawServer(context, (socket) => {
    socket.once(
      'data',
      () => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: "x"\r\n\r\nabc'),
    )
  })
  const bucket = bucketAt(context, endpoint, {}, { deadlines: DEADLINES })
  await assertTimesOut(() => bucket.get('a.txt'), sockets, [600, 5000])
})

test(
  'deadline: a byte now and then does not keep a request for ever: the whole ends by its size',
  IN_TIME,
  async (context) => {
    const { endpoint, sockets } = await rawServer(context, (socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nETag: "x"\r\n\r\n')
        const timer = setInterval(() => socket.write('x'), 20)
        socket.on('close', () => clearInterval(timer))
      })
    })
    const deadlines = { ...DEADLINES, silenceMs: NEVER_MS, baseMs: 500, bytesPerSecondMin: 1024 }
    const bucket = bucketAt(context, endpoint, {}, { deadlines })
    await assertTimesOut(() => bucket.get('a.txt'), sockets, [500, 5000])
  },
)

test('deadline: headers that never end, end', IN_TIME, async (context) => {
  const { endpoint, sockets } = await rawServer(context, (socket) => {
    socket.once('data', () => {
      const timer = setInterval(() => socket.write('x'), 20)
      socket.write('HTTP/1.1 200 OK\r\nX-Odd: ')
      socket.on('close', () => clearInterval(timer))
    })
  })
  const deadlines = { ...DEADLINES, silenceMs: NEVER_MS, baseMs: 500 }
  const bucket = bucketAt(context, endpoint, {}, { deadlines })
  await assertTimesOut(() => bucket.get('a.txt'), sockets, [500, 5000])
})

test(
  'deadline: bytes earn their time: a slow upload and a slow download that move are let finish',
  IN_TIME,
  async (context) => {
    const store = await fakeStore(context, (seen, response) => {
      if (seen.method === 'PUT') return void setTimeout(() => TAKEN(seen, response), 700)
      response.writeHead(200, { etag: '"x"', 'content-length': 70_000 })
      let sent = 0
      const timer = setInterval(() => {
        response.write(Buffer.alloc(10_000))
        sent += 10_000
        if (sent === 70_000) {
          clearInterval(timer)
          response.end()
        }
      }, 100)
    })
    const deadlines = { ...DEADLINES, silenceMs: NEVER_MS, baseMs: 400, bytesPerSecondMin: 8 * 1024 }
    const bucket = bucketAt(context, store.endpoint, {}, { deadlines })
    await putTo(bucket, 'a.txt', Buffer.alloc(16_000))
    assert.equal((await bucket.get('a.txt'))?.byteLength, 70_000)
    const small = await failureIn(putTo(bucket, 'a.txt', Buffer.from('a small one has earned less')))
    assert.equal(small.code, 'Timeout')
  },
)

test('deadline: the next request after a timeout succeeds on a new socket', IN_TIME, async (context) => {
  let requests = 0
  const store = await fakeStore(context, (seen, response) => {
    requests++
    if (requests > 1) TAKEN(seen, response)
  })
  const bucket = bucketAt(context, store.endpoint, {}, { deadlines: DEADLINES })
  assert.equal((await failureIn(putTo(bucket, 'a.txt', Buffer.from('x')))).code, 'Timeout')
  await putTo(bucket, 'a.txt', Buffer.from('x'))
  assert.notEqual(store.seen[0]?.socket, store.seen[1]?.socket)
})
