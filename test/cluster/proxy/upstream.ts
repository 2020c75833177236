/** The way from the proxy to the true server. */
import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import https from 'node:https'
import type { SeenRequest } from './request.ts'

/** They are about one connection, not about the request. */
const OF_A_CONNECTION = ['connection', 'keep-alive', 'transfer-encoding', 'host', 'content-length', 'upgrade']

export class Upstream {
  readonly #server: string
  readonly #agent: http.Agent

  constructor(server: string, ca: string | undefined) {
    this.#server = server
    const limits = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY }
    this.#agent = server.startsWith('https:')
      ? new https.Agent({ ...limits, ...(ca === undefined ? {} : { ca }) })
      : new http.Agent(limits)
  }

  /**
   * The server's answer, its body still to be read. Rejects where the server does not answer, or the signal
   * says so.
   */
  async ask(
    { method, headers, body }: SeenRequest,
    url: string,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const request = (this.#server.startsWith('https:') ? https : http).request(this.#server + url, {
      method,
      agent: this.#agent,
      signal,
      headers: {
        ...plainHeaders(headers),
        ...(body === '' ? {} : { 'content-length': Buffer.byteLength(body) }),
      },
    })
    request.once('response', resolve)
    request.once('error', reject)
    request.end(body)
    return await promise
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** Without those of a connection; nothing comes compressed, since the proxy reads what passes. */
export function plainHeaders(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const left = Object.entries(headers).filter(
    ([name]) => !OF_A_CONNECTION.includes(name) && name !== 'accept-encoding',
  )
  return Object.fromEntries(left)
}
