import type { IncomingHttpHeaders, ServerResponse } from 'node:http'

/** Answers as the API server words them. */
export interface StatusAnswer {
  readonly status: number
  readonly reason?: string
  readonly message?: string
  readonly retryAfterSeconds?: number
}

const REASONS: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Expired',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
}

export function statusObject({ status, reason, message, retryAfterSeconds }: StatusAnswer) {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: message ?? `the fault proxy answers ${status}`,
    reason: reason ?? REASONS[status] ?? 'Unknown',
    ...(retryAfterSeconds === undefined ? {} : { details: { retryAfterSeconds } }),
    code: status,
  }
}

export function sendStatus(reply: ServerResponse, answer: StatusAnswer): void {
  const { status, retryAfterSeconds } = answer
  const headers = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }
  sendJson(reply, status, statusObject(answer), headers)
}

export function sendJson(reply: ServerResponse, status: number, body: object, headers = {}): void {
  sendText(reply, status, JSON.stringify(body), { 'content-type': 'application/json', ...headers })
}

export function sendText(
  reply: ServerResponse,
  status: number,
  body: string,
  headers: IncomingHttpHeaders,
): void {
  if (reply.destroyed) return
  reply.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
  reply.end(body)
}

/** The connection breaks: no answer, or no more of it. */
export function cut(reply: ServerResponse): void {
  reply.socket?.destroy()
}

/** Half of the body, then the connection breaks. */
export function sendHalf(
  reply: ServerResponse,
  status: number,
  body: string,
  headers: IncomingHttpHeaders,
): void {
  reply.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
  reply.write(body.slice(0, Math.floor(body.length / 2)), () => cut(reply))
}
