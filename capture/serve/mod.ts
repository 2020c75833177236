/**
 * A process's HTTP port: /livez (the loop turns), /readyz (a capture: the book is live, or every stream flows where no
 * book is captured), /status (JSON), /metrics (Prometheus text). Read only, no secrets, nothing acts on it.
 */
import { createServer, type Server, type ServerResponse } from 'node:http'

export interface Served {
  /** Why the process should be started anew; empty where all is well. */
  stuck(): string
  ready(): boolean
  /** Only captures have one. */
  status?(): Promise<object>
  metrics(): Promise<{ readonly type: string; readonly text: string }>
}

/** A port that cannot be opened; the message says which and why. */
export class PortError extends Error {
  readonly code = 'PortUnusable'

  constructor(message: string) {
    super(message)
    this.name = 'PortError'
  }
}

/** Opens the port; on `::` for both families of addresses. Throws PortError. */
export async function serve(host: string, port: number, served: Served): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET') return answer(response, 405, 'only GET\n')
    respond(request.url?.split('?')[0] ?? '', served, response).catch((error: unknown) => {
      answer(response, 500, `${error instanceof Error ? error.message : String(error)}\n`)
    })
  })
  try {
    await listen(server, host, port)
  } catch (error) {
    const other = insteadOf(host, error as NodeJS.ErrnoException)
    if (other === undefined) throw portError(host, port, error as NodeJS.ErrnoException)
    await listen(server, other, port).catch((again: NodeJS.ErrnoException) => {
      throw portError(other, port, again)
    })
  }
  return server
}

/** `::` answers on IPv4 as well, and IPv4 is what a machine without IPv6 has; no other address may stand for one. */
export function insteadOf(host: string, { code }: NodeJS.ErrnoException): string | undefined {
  return host === '::' && code === 'EAFNOSUPPORT' ? '0.0.0.0' : undefined
}

function listen(server: Server, host: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(port, host, () => {
    server.off('error', reject)
    resolve()
  })
  return promise
}

function portError(host: string, port: number, { code, message }: NodeJS.ErrnoException): PortError {
  const why = code === 'EADDRINUSE' ? 'it is in use' : message
  const at = host.includes(':') ? `[${host}]` : host
  return new PortError(`cannot listen on ${at}:${port}: ${why}; choose another --port`)
}

async function respond(path: string, served: Served, response: ServerResponse): Promise<void> {
  switch (path) {
    case '/livez': {
      const why = served.stuck()
      return why === '' ? answer(response, 200, 'ok\n') : answer(response, 503, `${why}\n`)
    }
    case '/readyz':
      return served.ready() ? answer(response, 200, 'ready\n') : answer(response, 503, 'not live\n')
    case '/status':
      if (served.status === undefined) return answer(response, 404, 'known: /livez /readyz /metrics\n')
      return answer(response, 200, `${JSON.stringify(await served.status())}\n`, 'application/json')
    case '/metrics': {
      const { type, text } = await served.metrics()
      return answer(response, 200, text, type)
    }
    default:
      return answer(response, 404, 'known: /livez /readyz /status /metrics\n')
  }
}

function answer(response: ServerResponse, status: number, body: string, type = 'text/plain'): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body)
}
