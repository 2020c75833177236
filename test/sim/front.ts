/** The real front of the simulated exchange: an HTTP server and its WebSockets, and nothing else. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import type { SimAnswer, SimConnection, SimExchange, SimPeer } from './core/mod.ts'
import { messageOf, SimError } from './errors.ts'

const MESSAGE_BYTES_MAX = 64 * 1024

export class Front {
  readonly #exchange: SimExchange
  readonly #server: Server
  readonly #sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    // The core answers pings itself: a half-open connection gives no pong.
    autoPong: false,
    maxPayload: MESSAGE_BYTES_MAX,
  })
  /** Handshakes that get no answer. */
  readonly #hanging = new Set<Duplex>()
  readonly #waits = new Set<NodeJS.Timeout>()

  constructor(exchange: SimExchange) {
    this.#exchange = exchange
    this.#server = createServer((request, response) => {
      this.#respond(request, response).catch((thrown: unknown) => {
        exchange.note(`${request.method} ${request.url} failed: ${messageOf(thrown)}`)
        if (!response.headersSent) response.writeHead(500)
        response.end()
      })
    })
    // idle connections are ended by clients alone: a server that does so may meet the next request on its way
    this.#server.keepAliveTimeout = 0
    this.#server.on('upgrade', (request, stream, head) => this.#upgrade(request, stream, head))
  }

  /** Listens; the port, which a 0 leaves to the machine. Throws SimError `port_in_use`. */
  listen(port: number, host: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        const message = `Port ${port} is in use; choose another with --port, or leave it out.`
        reject(error.code === 'EADDRINUSE' ? new SimError('port_in_use', message) : error)
      })
      this.#server.listen(port, host, () => {
        const address = this.#server.address()
        resolve(typeof address === 'object' && address !== null ? address.port : port)
      })
    })
  }

  /** Ends what is open without a word and gives the port back. */
  async stop(): Promise<void> {
    for (const wait of this.#waits) clearTimeout(wait)
    for (const stream of this.#hanging) stream.destroy()
    for (const socket of this.#sockets.clients) socket.terminate()
    this.#sockets.close()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const peer = new Peer()
    const handshake = this.#exchange.connect(request.url ?? '/', addressOf(request), peer)
    switch (handshake.kind) {
      case 'hang':
        this.#hanging.add(stream)
        stream.on('error', () => stream.destroy()) // the client gave up, as it should
        stream.on('close', () => this.#hanging.delete(stream))
        return
      case 'reset':
        stream.destroy()
        return
      case 'refused': {
        const { status, retryAfterSeconds } = handshake
        const retry = retryAfterSeconds > 0 ? `Retry-After: ${retryAfterSeconds}\r\n` : ''
        stream.end(`HTTP/1.1 ${status} Refused\r\n${retry}Content-Length: 0\r\nConnection: close\r\n\r\n`)
        return
      }
      case 'accepted':
        this.#sockets.handleUpgrade(request, stream, head, (socket) => {
          peer.socket = socket
          this.#attend(socket, handshake.connection)
        })
        // A malformed handshake is answered by the library, which then calls nothing back.
        if (peer.socket === undefined) handshake.connection.closed()
    }
  }

  #attend(socket: WebSocket, connection: SimConnection): void {
    socket.on('message', (data: RawData) => connection.text(textOf(data)))
    socket.on('ping', (data: Buffer) => {
      if (connection.ping()) socket.pong(data)
    })
    socket.on('pong', () => connection.pong())
    socket.on('error', (error) => this.#exchange.note(`a connection failed: ${messageOf(error)}`))
    socket.on('close', () => connection.closed())
  }

  async #respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = request
    const address = addressOf(request)
    const answer =
      method === 'GET' ? await this.#exchange.get(url, address) : this.#exchange.refuseMethod(method, address)
    await this.#send(answer, response)
  }

  async #send(answer: SimAnswer, response: ServerResponse): Promise<void> {
    if (answer.afterMs === Number.POSITIVE_INFINITY) return // nothing ever, until the client or `stop` ends it
    await this.#wait(answer.afterMs)
    response.writeHead(answer.status, answer.headers)
    for (const { afterMs, bytes } of answer.pieces) {
      await this.#wait(afterMs)
      response.write(bytes)
    }
    if (answer.end === 'complete') response.end()
    // What was written must be on its way before the reset.
    else if (answer.end === 'reset') response.write('', () => response.socket?.resetAndDestroy())
  }

  async #wait(ms: number): Promise<void> {
    if (ms <= 0) return
    await new Promise<void>((resolve) => {
      const wait = setTimeout(() => {
        this.#waits.delete(wait)
        resolve()
      }, ms)
      this.#waits.add(wait)
    })
  }
}

/** A socket as the core sees it; there is none yet while the handshake is being made. */
class Peer implements SimPeer {
  socket: WebSocket | undefined

  get bufferedBytes(): number {
    return this.socket?.bufferedAmount ?? 0
  }

  send(payload: string | Uint8Array): void {
    const { socket } = this
    if (socket?.readyState === socket?.OPEN) socket?.send(payload, { binary: false })
  }

  ping(): void {
    const { socket } = this
    if (socket?.readyState === socket?.OPEN) socket?.ping()
  }

  close(code: number, reason: string): void {
    this.socket?.close(code, reason)
  }

  terminate(): void {
    this.socket?.terminate()
  }
}

function addressOf(request: IncomingMessage): string {
  return request.socket.remoteAddress ?? 'unknown'
}

function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString('utf8')
  return Buffer.isBuffer(data) ? data.toString('utf8') : Buffer.from(data).toString('utf8')
}
