import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Deadline } from '../../capture/ship/s3/deadline.ts'
import type { S3Bucket } from '../../capture/ship/s3/mod.ts'
import { bucketAt, type Context, failureIn, fakeStore, PATIENT, putTo, TAKEN } from './s3-fixture.ts'

// Far below those of a capture, so that a test need not wait for them. Each test has one of them; the others are
// those of a patient bucket, which nothing here lives to see: whatever ends, ended by the one that is named.
const SILENCE = { silenceMs: 600 }
/** The machine may stand still; another deadline would strike after this. */
const STRIKES_WITHIN_MS = PATIENT.silenceMs / 4
const IN_TIME = { timeout: 4 * STRIKES_WITHIN_MS }
/** A try in which the machine stood still before the first byte tells nothing. */
const TRIES_MAX = 10
const LARGE = Buffer.alloc(24 * 1024 * 1024, 1)
const CHUNK = Buffer.alloc(100_000)
/** In chunks each 100 ms: longer than the base of a deadline. */
const SLOW_BYTES = 8 * CHUNK.byteLength

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

/** The failure, which must be a Timeout not before `fromMs` and by no later deadline, with every socket ended soon after. */
async function assertTimesOut(
  work: () => Promise<unknown>,
  sockets: ReadonlySet<net.Socket>,
  fromMs: number,
): Promise<void> {
  const startedMs = performance.now()
  const failure = await failureIn(work())
  const tookMs = performance.now() - startedMs
  assert.deepEqual([failure.code, failure.class], ['Timeout', 'transient'], failure.message)
  assert.ok(tookMs >= fromMs * 0.9 && tookMs < STRIKES_WITHIN_MS, `after ${tookMs} ms, expected ${fromMs}`)
  // one that is not read does not see its end either
  for (const socket of sockets) socket.resume()
  const deadline = performance.now() + STRIKES_WITHIN_MS
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
    const bucket = bucketAt(context, endpoint, {}, { deadlines: SILENCE })
    await assertTimesOut(() => putTo(bucket, 'a.txt', Buffer.from('x')), sockets, SILENCE.silenceMs)
    await assertTimesOut(() => bucket.get('a.txt'), sockets, SILENCE.silenceMs)
  },
)

test('deadline: TLS that is never spoken ends', IN_TIME, async (context) => {
  const { endpoint, sockets } = await rawServer(context, () => undefined)
  const bucket = bucketAt(context, endpoint.replace('http:', 'https:'), {}, { deadlines: SILENCE })
  await assertTimesOut(() => bucket.get('a.txt'), sockets, SILENCE.silenceMs)
})

test('deadline: an upload that the store stops reading ends by silence', IN_TIME, async (context) => {
  const { endpoint, sockets } = await rawServer(
    context,
    (socket) => void socket.once('data', () => socket.pause()),
  )
  const bucket = bucketAt(context, endpoint, {}, { deadlines: SILENCE })
  await assertTimesOut(() => putTo(bucket, 'a.txt', LARGE), sockets, SILENCE.silenceMs)
})

test('deadline: a download that stops in the middle ends by silence', IN_TIME, async (context) => {
  const { endpoint, sockets } = await rawServer(context, (socket) => {
    socket.once(
      'data',
      () => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: "x"\r\n\r\nabc'),
    )
  })
  const bucket = bucketAt(context, endpoint, {}, { deadlines: SILENCE })
  await assertTimesOut(() => bucket.get('a.txt'), sockets, SILENCE.silenceMs)
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
    const bucket = bucketAt(context, endpoint, {}, { deadlines: { baseMs: 500, bytesPerSecondMin: 1024 } })
    await assertTimesOut(() => bucket.get('a.txt'), sockets, 500)
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
  const bucket = bucketAt(context, endpoint, {}, { deadlines: { baseMs: 500 } })
  await assertTimesOut(() => bucket.get('a.txt'), sockets, 500)
})

test(
  'deadline: bytes earn their time: a slow upload and a slow download that move are let finish',
  IN_TIME,
  async (context) => {
    const store = await fakeStore(context, (seen, response) => {
      if (seen.method === 'PUT') return void setTimeout(() => TAKEN(seen, response), 700)
      response.writeHead(200, { etag: '"x"', 'content-length': SLOW_BYTES })
      let left = SLOW_BYTES / CHUNK.byteLength
      const send = () => {
        response.write(CHUNK)
        left--
        if (left === 0) response.end()
        else setTimeout(send, 100)
      }
      send()
    })
    // a chunk earns minutes, a small upload less than it takes
    const deadlines = { baseMs: 400, bytesPerSecondMin: 1024 }
    const bucket = bucketAt(context, store.endpoint, {}, { deadlines })
    await putTo(bucket, 'a.txt', Buffer.alloc(SLOW_BYTES))
    assert.equal((await slowlyRead(context, bucket))?.byteLength, SLOW_BYTES)
    const small = await failureIn(putTo(bucket, 'a.txt', Buffer.from('a small one has earned less')))
    assert.equal(small.code, 'Timeout')
  },
)

/** Reads what takes longer than its base. Where not one byte came before that, nothing was earned: it is read again. */
async function slowlyRead(context: TestContext, bucket: S3Bucket): Promise<Buffer | undefined> {
  const moved = context.mock.method(Deadline.prototype, 'moved')
  for (let tries = 1; ; tries++) {
    moved.mock.resetCalls()
    try {
      return await bucket.get('a.txt')
    } catch (error) {
      if (moved.mock.callCount() > 0 || tries === TRIES_MAX) throw error
    }
  }
}

test('deadline: the next request after a timeout succeeds on a new socket', IN_TIME, async (context) => {
  const store = await fakeStore(context, (seen, response) => {
    if (seen.body.byteLength > 1) TAKEN(seen, response)
  })
  // the second has earned minutes by its size
  const deadlines = { baseMs: 400, bytesPerSecondMin: 1024 }
  const bucket = bucketAt(context, store.endpoint, {}, { deadlines })
  for (let tries = 1; store.seen.length === 0; tries++) {
    assert.ok(tries <= TRIES_MAX, 'the store was never asked')
    assert.equal((await failureIn(putTo(bucket, 'a.txt', Buffer.from('x')))).code, 'Timeout')
  }
  const before = store.seen.map(({ socket }) => socket)
  await putTo(bucket, 'a.txt', Buffer.alloc(SLOW_BYTES))
  const last = store.seen.at(-1)
  assert.ok(last?.body.byteLength === SLOW_BYTES && !before.includes(last.socket))
})
