import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import type { FeedLog } from '../../capture/feed/mod.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

export interface LocalExchange {
  readonly base: string
  readonly port: number
  /** Paths asked for by HTTP, in order of arrival. */
  readonly asked: string[]
  /** Server sides of all WebSockets, in order of opening. */
  readonly sockets: WebSocket[]
  /** Answers by the beginning of the path; anything else gets the defaults. */
  readonly answers: Map<string, Answer>
  /** Called as a WebSocket opens. */
  onSocket: (socket: WebSocket, path: string) => void
  /** Set to refuse upgrades with this raw HTTP answer. */
  refusal: string
  /** Bytes no longer come or go on any connection: half-open, as after a lost network. */
  freeze(): void
  close(): Promise<void>
}

export function listingBody(symbol: string, status: string, weight = 2400): string {
  const rateLimits = [{ rateLimitType: 'REQUEST_WEIGHT', interval: 'MINUTE', intervalNum: 1, limit: weight }]
  return JSON.stringify({ rateLimits, symbols: [{ symbol, status }] })
}

/** A small exchange on 127.0.0.1 that answers clock and listing, and opens any WebSocket. */
export async function startExchange(port = 0): Promise<LocalExchange> {
  const connections = new Set<Socket>()
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    exchange.asked.push(path)
    for (const [start, answer] of exchange.answers)
      if (path.startsWith(start)) return answer(request, response)
    if (path.startsWith('/fapi/v1/time')) return reply(response, JSON.stringify({ serverTime: Date.now() }))
    if (path.startsWith('/fapi/v1/exchangeInfo')) return reply(response, listingBody('BTCUSDT', 'TRADING'))
    return reply(response, '{}')
  })
  // idle connections are ended by clients alone: a server that does so may meet the next request on its way
  server.keepAliveTimeout = 0
  const sockets = new WebSocketServer({ noServer: true })
  server.on('connection', (socket) => {
    connections.add(socket)
    socket.on('error', () => {}) // the other side may be gone: what a test asserts is seen there
    socket.on('close', () => connections.delete(socket))
  })
  server.on('upgrade', (request, stream, head) => {
    if (exchange.refusal !== '') {
      stream.end(exchange.refusal)
      return
    }
    sockets.handleUpgrade(request, stream, head, (socket) => {
      exchange.sockets.push(socket)
      exchange.onSocket(socket, request.url ?? '')
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const bound = (server.address() as AddressInfo).port
  const exchange: LocalExchange = {
    base: `http://127.0.0.1:${bound}`,
    port: bound,
    asked: [],
    sockets: [],
    answers: new Map(),
    onSocket: () => {},
    refusal: '',
    freeze() {
      for (const socket of connections) socket.pause()
    },
    close() {
      for (const socket of connections) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
  return exchange
}

export function reply(response: ServerResponse, body: string, weight = 1, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json', 'x-mbx-used-weight-1m': String(weight) })
  response.end(body)
}

/** Waits for a condition that comes about by real input and output; fails after the deadline. */
export async function until(condition: () => boolean, what: string, deadlineMs = 120_000): Promise<void> {
  const end = performance.now() + deadlineMs
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms in vain for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

export function keptLog(): FeedLog & { readonly lines: string[] } {
  const lines: string[] = []
  return { lines, info: (_, line) => void lines.push(line), warn: (_, line) => void lines.push(line) }
}
