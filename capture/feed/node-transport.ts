/** The transport of this process: `ws` for sockets, global fetch for HTTP. */
import { type RawData, WebSocket } from 'ws'
import { type Http, type OpenSocket, type RawSocketEvents, reasonOf, retryAfterMs } from './transport.ts'

/** Close code that stands for "the peer sent none" (RFC 6455, 7.1.5). */
const NO_CLOSE_CODE = 1006

/** No compression (it costs more than it saves on one machine's stream), no redirects, a bounded message. */
export const nodeSocket: OpenSocket = (url, limits, events) => {
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    maxPayload: limits.messageBytesMax,
    handshakeTimeout: limits.handshakeMs,
    followRedirects: false,
  })
  attend(socket, events)
  return {
    send: (text) => socket.send(text),
    ping: () => socket.ping(),
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
  }
}

/** Folds the events of `ws` into the contract: one end, with the reason that came first. */
function attend(socket: WebSocket, events: RawSocketEvents): void {
  let opened = false
  let why = ''
  let status = 0
  let retryMs = 0
  socket.on('open', () => {
    opened = true
    events.open()
  })
  socket.on('message', (data) => events.message(bytesOf(data)))
  socket.on('pong', () => events.pong())
  socket.on('unexpected-response', (_request, response) => {
    status = response.statusCode ?? 0
    why = `the server answered ${status} instead of a WebSocket`
    retryMs = retryAfterMs(response.headers['retry-after'], Date.now())
    // with a listener here ws leaves the attempt to us: ending it makes it emit `error` and `close`
    socket.terminate()
  })
  // an error is always followed by `close`, which reports it
  socket.on('error', (error) => {
    if (why === '') why = reasonOf(error)
    // after a violation of the protocol the peer's closing handshake could take half a minute
    if (opened) socket.terminate()
  })
  socket.on('close', (code, reason) => {
    if (opened) events.closed(code, why === '' ? reason.toString('utf8') : why)
    else
      events.failed(
        why === '' ? `closed with ${code || NO_CLOSE_CODE} before it opened` : why,
        status,
        retryMs,
      )
  })
}

/** `ws` hands out Buffers unless told otherwise; the other shapes are of its type alone. */
function bytesOf(data: RawData): Uint8Array {
  if (Buffer.isBuffer(data)) return data
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)
}

export const nodeHttp: Http = async (url, signal) => {
  const response = await fetch(url, { signal, redirect: 'error', headers: { accept: 'application/json' } })
  return {
    status: response.status,
    header: (name) => response.headers.get(name),
    body: response.body ?? NOTHING,
  }
}

const NOTHING: AsyncIterable<Uint8Array> = {
  async *[Symbol.asyncIterator]() {},
}
