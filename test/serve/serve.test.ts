import assert from 'node:assert/strict'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { PortError, serve } from '../../capture/serve/mod.ts'

async function withServer(
  ready: () => boolean,
  status: () => Promise<object>,
  body: (base: string) => Promise<void>,
): Promise<void> {
  const server: Server = await serve('127.0.0.1', 0, { ready, status })
  try {
    await body(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  } finally {
    server.close()
    server.closeAllConnections()
  }
}

describe('serve', () => {
  it('/readyz follows the book, /livez the loop', () => {
    let live = false
    return withServer(
      () => live,
      async () => ({}),
      async (base) => {
        assert.equal((await fetch(`${base}/livez`)).status, 200)
        assert.equal((await fetch(`${base}/readyz`)).status, 503)
        live = true
        assert.equal((await fetch(`${base}/readyz`)).status, 200)
      },
    )
  })

  it('/status is JSON; a status that fails is an answer too', () => {
    let fail = false
    return withServer(
      () => true,
      async () => (fail ? Promise.reject(new Error('the spool is gone')) : { state: 'live' }),
      async (base) => {
        assert.deepEqual(await (await fetch(`${base}/status?x=1`)).json(), { state: 'live' })
        fail = true
        const answer = await fetch(`${base}/status`)
        assert.equal(answer.status, 500)
        assert.match(await answer.text(), /the spool is gone/)
      },
    )
  })

  it('anything else is told what there is; nothing can be changed', () =>
    withServer(
      () => true,
      async () => ({}),
      async (base) => {
        assert.match(await (await fetch(`${base}/other`)).text(), /known: \/livez \/readyz \/status/)
        assert.equal((await fetch(`${base}/status`, { method: 'POST' })).status, 405)
      },
    ))

  it('a port in use is a clear sentence', () =>
    withServer(
      () => true,
      async () => ({}),
      async (base) => {
        const port = Number(new URL(base).port)
        await assert.rejects(
          serve('127.0.0.1', port, { ready: () => true, status: async () => ({}) }),
          (error: unknown) => {
            assert.ok(error instanceof PortError)
            assert.match(
              error.message,
              new RegExp(`127\\.0\\.0\\.1:${port}: it is in use; choose another --port`),
            )
            return true
          },
        )
      },
    ))
})
