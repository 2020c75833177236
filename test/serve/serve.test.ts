import assert from 'node:assert/strict'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { describe, it } from 'node:test'
import { insteadOf, PortError, type Served, serve } from '../../capture/serve/mod.ts'

const SERVED: Served = {
  stuck: () => '',
  ready: () => true,
  status: async () => ({}),
  metrics: async () => ({ type: 'text/plain; version=0.0.4', text: 'l2cap_info 1\n' }),
}

async function withServer(served: Partial<Served>, body: (base: string) => Promise<void>): Promise<void> {
  const server: Server = await serve('127.0.0.1', 0, { ...SERVED, ...served })
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
    let turns = true
    return withServer(
      { ready: () => live, stuck: () => (turns ? '' : 'no tick was handled for ten seconds') },
      async (base) => {
        assert.equal((await fetch(`${base}/livez`)).status, 200)
        assert.equal((await fetch(`${base}/readyz`)).status, 503)
        live = true
        turns = false
        assert.equal((await fetch(`${base}/readyz`)).status, 200)
        const answer = await fetch(`${base}/livez`)
        assert.equal(answer.status, 503)
        assert.match(await answer.text(), /no tick was handled for ten seconds/)
      },
    )
  })

  it('/metrics is told with its type; where it fails the answer says why', () => {
    let fail = false
    const metrics = async () => (fail ? Promise.reject(new Error('the spool is gone')) : SERVED.metrics())
    return withServer({ metrics }, async (base) => {
      const answer = await fetch(`${base}/metrics`)
      assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4')
      assert.equal(await answer.text(), 'l2cap_info 1\n')
      fail = true
      assert.equal((await fetch(`${base}/metrics`)).status, 500)
    })
  })

  it('/status is JSON; a status that fails is an answer too', () => {
    let fail = false
    const status = async () => (fail ? Promise.reject(new Error('the spool is gone')) : { state: 'live' })
    return withServer({ status }, async (base) => {
      assert.deepEqual(await (await fetch(`${base}/status?x=1`)).json(), { state: 'live' })
      fail = true
      const answer = await fetch(`${base}/status`)
      assert.equal(answer.status, 500)
      assert.match(await answer.text(), /the spool is gone/)
    })
  })

  it('anything else is told what there is; nothing can be changed', () =>
    withServer({}, async (base) => {
      assert.match(await (await fetch(`${base}/other`)).text(), /known: \/livez \/readyz \/status \/metrics/)
      assert.equal((await fetch(`${base}/status`, { method: 'POST' })).status, 405)
    }))

  it('on "::" it is reached by IPv6, where this machine has it, and by IPv4', async () => {
    const server = await serve('::', 0, SERVED)
    try {
      const { port } = server.address() as AddressInfo
      const loopbacks = Object.values(networkInterfaces()).flatMap((one = []) =>
        one.map(({ address }) => address),
      )
      const hosts = ['127.0.0.1', ...(loopbacks.includes('::1') ? ['[::1]'] : [])]
      for (const host of hosts) assert.equal((await fetch(`http://${host}:${port}/livez`)).status, 200, host)
    } finally {
      server.close()
      server.closeAllConnections()
    }
  })

  it('a machine without IPv6 is served on IPv4 instead; no other address is replaced', () => {
    const code = (name: string) => Object.assign(new Error(name), { code: name })
    assert.equal(insteadOf('::', code('EAFNOSUPPORT')), '0.0.0.0')
    assert.equal(insteadOf('::', code('EADDRINUSE')), undefined)
    assert.equal(insteadOf('::1', code('EAFNOSUPPORT')), undefined)
  })

  it('a port in use is a clear sentence', () =>
    withServer({}, async (base) => {
      const port = Number(new URL(base).port)
      await assert.rejects(serve('127.0.0.1', port, SERVED), (error: unknown) => {
        assert.ok(error instanceof PortError)
        assert.match(
          error.message,
          new RegExp(`127\\.0\\.0\\.1:${port}: it is in use; choose another --port`),
        )
        return true
      })
    }))
})
