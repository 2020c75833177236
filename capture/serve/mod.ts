/**
 * The process's HTTP port: /livez (the loop turns), /readyz (the book is live, or every stream flows where no
 * book is captured), /status (JSON). Read only, no secrets, nothing acts on it.
 */
import { createServer, type Server } from 'node:http'

export interface Served {
  ready(): boolean
  status(): Promise<object>
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
    const answer = (status: number, body: string, type = 'text/plain') => {
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body)
    }
    const path = request.url?.split('?')[0]
    if (request.method !== 'GET') return answer(405, 'only GET\n')
    if (path === '/livez') return answer(200, 'ok\n')
    if (path === '/readyz') return served.ready() ? answer(200, 'ready\n') : answer(503, 'not live\n')
    if (path === '/status') {
      served.status().then(
        (status) => answer(200, `${JSON.stringify(status)}\n`, 'application/json'),
        (error: unknown) => answer(500, `${error instanceof Error ? error.message : String(error)}\n`),
      )
      return
    }
    answer(404, 'known: /livez /readyz /status\n')
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
