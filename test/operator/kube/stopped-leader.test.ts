import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { waitFor } from '../../support/wait.ts'
import { failure, type Reply, ScriptedServer, type Seen } from './scripted.ts'

const CHILD = join(import.meta.dirname, 'leader-child.ts')
/** Of the child: longer than this without a renewal, and it may not write. So long the machine may stall before. */
const RENEW_DEADLINE_MS = 10_000

interface Lease {
  readonly metadata: { readonly resourceVersion?: string }
}

/** A server that keeps one lease, and takes any other write. */
function leaseScript(): (seen: Seen) => Reply {
  let version = 0
  let lease: Lease | undefined
  return ({ method, path, body }) => {
    if (path === '/writes') return { status: 201, body: {} }
    if (method === 'GET') {
      return lease === undefined ? failure(404, 'NotFound') : { status: 200, body: lease }
    }
    const sent = body as Lease
    if (lease !== undefined && sent.metadata.resourceVersion !== lease.metadata.resourceVersion) {
      return failure(409, 'Conflict')
    }
    version += 1
    lease = { ...sent, metadata: { ...sent.metadata, resourceVersion: String(version) } }
    return { status: 200, body: lease }
  }
}

function startChild(context: TestContext, address: string) {
  const folder = mkdtempSync(join(tmpdir(), 'l2cap-leader-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const kubeconfig = join(folder, 'kubeconfig')
  writeFileSync(
    kubeconfig,
    `apiVersion: v1
kind: Config
current-context: it
clusters: [{name: it, cluster: {server: "${address}", insecure-skip-tls-verify: true}}]
users: [{name: it, user: {token: secret}}]
contexts: [{name: it, context: {cluster: it, user: it}}]
`,
  )
  const child = spawn(process.execPath, [CHILD, kubeconfig, String(RENEW_DEADLINE_MS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  context.after(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  // its output, too
  const ended = once(child, 'close')
  return { child, ended, output: () => output }
}

describe('a leader that is stopped', () => {
  it('writes nothing after SIGCONT where its term has run out, and ends', async (context) => {
    const server = await ScriptedServer.start(context, leaseScript())
    const writes = () => server.seen.filter(({ path }) => path === '/writes').length
    const { child, ended, output } = startChild(context, server.address)
    await waitFor('writes of the leader', () => writes() > 100)
    child.kill('SIGSTOP')
    const stoppedMs = performance.now()
    await waitFor('its term to run out', () => performance.now() - stoppedMs > RENEW_DEADLINE_MS + 100)
    // what it sent before it was stopped has been read when the answer to a later request is there
    for (let requests = 0; requests < 2; requests++) await (await fetch(server.address)).text()
    const before = writes()
    child.kill('SIGCONT')
    const [code] = await ended
    assert.equal(code, 0)
    assert.match(output(), /^lost refused/)
    assert.equal(writes() - before, 0, 'writes that went out after it came back')
  })
})
