/** `l2cap status` of a cluster that cannot be asked: what a person is told. Its tables are tested beside it. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { readCluster, type Where } from '../../capture/cli/cluster.ts'
import { temporary } from './l2cap.ts'

function kubeconfig(server: string, current = 'current-context: x'): string {
  return `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "${server}"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
${current}
`
}

/** What the call says of this kubeconfig. */
async function said(context: { after(work: () => unknown): void }, text: string, more: Partial<Where> = {}) {
  const file = join(await temporary(context), 'kubeconfig')
  await writeFile(file, text)
  return saidOf({ kubeconfig: file, allNamespaces: false, ...more })
}

async function saidOf(where: Where): Promise<string> {
  try {
    await readCluster(where)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'WrongCall') return error.message
    throw error
  }
  return ''
}

describe('l2cap status, where no cluster can be asked', () => {
  it('nothing is configured: it says what to give', async (context) => {
    const home = await temporary(context)
    const before = { HOME: process.env['HOME'], KUBECONFIG: process.env['KUBECONFIG'] }
    context.after(() => {
      for (const [name, value] of Object.entries(before))
        if (value === undefined) delete process.env[name]
        else process.env[name] = value
    })
    process.env['HOME'] = home
    delete process.env['KUBECONFIG']
    assert.match(
      await saidOf({ allNamespaces: false }),
      /there is no cluster to ask: set KUBECONFIG, or give/,
    )
  })

  it('an address without TLS, a context that is not there, a file that is none: each by its name', async (context) => {
    const http = await said(context, kubeconfig('http://api.example:80'))
    assert.match(http, /must be an https: URL, and is "http:\/\/api\.example:80"/)
    const good = kubeconfig('https://api.example')
    assert.match(await said(context, good, { context: 'y' }), /has no context "y"/)
    assert.match(
      await said(context, kubeconfig('https://api.example', '')),
      /no current-context .* --context/,
    )
    assert.match(await said(context, ':::'), /the kubeconfig (cannot be read|has no current-context)/)
  })
})
