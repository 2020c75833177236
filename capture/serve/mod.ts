/**
 * The process's HTTP port: /livez (the loop turns), /readyz (the book is live, or every stream flows where no book is
 * captured), /status (JSON), /metrics (Prometheus text). Read only, no secrets, nothing acts on it.
 */
import { createServer, type Server, type ServerResponse } from 'node:http'

export interface Served {
  /** The loop turns: it has handled a tick lately. */
  alive(): boolean
  ready(): boolean
  status(): Promise<object>
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

/** Opens the port. Throws PortError. */
export async function serve(host: string, port: number, served: Served): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET') return answer(response, 405, 'only GET\n')
    respond(request.url?.split('?')[0] ?? '', served, response).catch((error: unknown) => {
      answer(response, 500, `${error instanceof Error ? error.message : String(error)}\n`)
    })
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', (error: NodeJS.ErrnoException) => {
    const why = error.code === 'EADDRINUSE' ? 'it is in use' : error.message
    reject(new PortError(`cannot listen on ${host}:${port}: ${why}; choose another --port, or none`))
  })
  server.listen(port, host, resolve)
  await promise
  return server
}

async function respond(path: string, served: Served, response: ServerResponse): Promise<void> {
  switch (path) {
    case '/livez':
      return served.alive()
        ? answer(response, 200, 'ok\n')
        : answer(response, 503, 'no tick was handled for ten seconds\n')
    case '/readyz':
      return served.ready() ? answer(response, 200, 'ready\n') : answer(response, 503, 'not live\n')
    case '/status':
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
