import type { ServerResponse } from 'node:http'
import { type ApiClient, ApiFailure } from '../client.ts'
import { sendJson, sendStatus } from './reply.ts'
import type { SeenRequest } from './request.ts'

const TIMEOUT_MS = 120_000

interface Pod {
  readonly status?: { readonly podIP?: string }
}

/**
 * `…/pods/NAME:PORT/proxy/PATH`, answered in the API server's stead: pods of the stand-in kubelet are addresses
 * of this machine itself, which a real API server refuses to talk to. Who asks needs the right, as there.
 */
export async function answerFromPod(
  request: SeenRequest,
  reply: ServerResponse,
  api: ApiClient,
): Promise<void> {
  const { namespace, rest, query } = request
  const [name = '', port = '80'] = request.name.split(':')
  try {
    if (!(await mayProxy(request, name, api))) {
      return sendStatus(reply, {
        status: 403,
        message: `pods "${name}" is forbidden: no right to pods/proxy`,
      })
    }
    const pod = await api.get<Pod>(`/api/v1/namespaces/${namespace}/pods/${name}`)
    const ip = pod.status?.podIP
    if (ip === undefined) return sendStatus(reply, { status: 503, message: `pod ${name} has no address` })
    const search = query.size === 0 ? '' : `?${query}`
    const url = `http://${ip}:${port}/${rest}${search}`
    const answer = await fetch(url, { method: request.method, signal: AbortSignal.timeout(TIMEOUT_MS) })
    const type = answer.headers.get('content-type') ?? 'text/plain'
    reply.writeHead(answer.status, { 'content-type': type }).end(await answer.text())
  } catch (error) {
    if (error instanceof ApiFailure) return sendJson(reply, error.status, JSON.parse(error.body))
    sendStatus(reply, { status: 503, message: `error trying to reach service: ${error}` })
  }
}

async function mayProxy(request: SeenRequest, name: string, api: ApiClient): Promise<boolean> {
  const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
  if (token === undefined) return false
  const asker = api.as(token)
  try {
    const review = await asker.create<{ status: { allowed: boolean } }>(
      '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      {
        spec: {
          resourceAttributes: {
            namespace: request.namespace,
            verb: request.verb,
            resource: 'pods',
            subresource: 'proxy',
            name,
          },
        },
      },
    )
    return review.status.allowed
  } finally {
    await asker.close()
  }
}
