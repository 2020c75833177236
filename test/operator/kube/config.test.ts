import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { accessReader, KubeError } from '../../../operator/kube/mod.ts'
import { serviceAccountAccess } from '../../../operator/kube/service-account.ts'

interface Written {
  readonly name?: string
  readonly server?: string
  readonly user?: string
  readonly cluster?: string
}

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'l2cap-kubeconfig-'))
  context.after(() => rmSync(folder, { recursive: true }))
  return folder
}

/** A kubeconfig with one cluster, user and context, all of one name. Returns its path. */
function kubeconfig(folder: string, written: Written = {}): string {
  const {
    name = 'one',
    server = 'https://one.example:6443/',
    user = '{token: secret}',
    cluster = '',
  } = written
  const file = join(folder, `${name}.yaml`)
  writeFileSync(
    file,
    `apiVersion: v1
kind: Config
current-context: ${name}
clusters: [{name: ${name}, cluster: {server: "${server}"${cluster}}}]
users: [{name: ${name}, user: ${user}}]
contexts: [{name: ${name}, context: {cluster: ${name}, user: ${name}, namespace: ns-${name}}}]
`,
  )
  return file
}

describe('configuration', () => {
  it('--kubeconfig comes before KUBECONFIG, and KUBECONFIG before the pod', async (context) => {
    const folder = folderOf(context)
    const one = kubeconfig(folder)
    const two = kubeconfig(folder, { name: 'two', server: 'https://two.example' })
    const env = { KUBECONFIG: two, KUBERNETES_SERVICE_HOST: '10.0.0.1' }
    const access = await accessReader({ kubeconfig: one }, env)()
    assert.equal(access.server, 'https://one.example:6443')
    assert.equal(access.namespace, 'ns-one')
    assert.deepEqual(access.headers, { authorization: 'Bearer secret' })
    assert.equal((await accessReader({}, env)()).server, 'https://two.example')
  })

  it('several files of KUBECONFIG are one configuration, and --context chooses', async (context) => {
    const folder = folderOf(context)
    const env = {
      KUBECONFIG: `${kubeconfig(folder)}:${kubeconfig(folder, { name: 'two', server: 'https://two.example' })}`,
    }
    assert.equal((await accessReader({}, env)()).namespace, 'ns-one')
    assert.equal((await accessReader({ context: 'two' }, env)()).namespace, 'ns-two')
    await assert.rejects(accessReader({ context: 'three' }, env)(), /context "three" names no cluster/)
  })

  it('a kubeconfig without a current context says so', async (context) => {
    const folder = folderOf(context)
    const file = join(folder, 'none.yaml')
    writeFileSync(file, 'apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: []\n')
    await assert.rejects(accessReader({ kubeconfig: file }, {})(), /names no current-context/)
  })

  it('a token that was rotated in the file is read at the next reading', async (context) => {
    const folder = folderOf(context)
    const read = accessReader({ kubeconfig: kubeconfig(folder) }, {})
    await read()
    kubeconfig(folder, { user: '{token: next}' })
    assert.deepEqual((await read()).headers, { authorization: 'Bearer next' })
  })

  it('a token file may end in a newline, which no header may hold', async (context) => {
    const folder = folderOf(context)
    const token = join(folder, 'token')
    writeFileSync(token, 'from-file\n')
    const file = kubeconfig(folder, { user: `{token-file: ${token}}` })
    assert.deepEqual((await accessReader({ kubeconfig: file }, {})()).headers, {
      authorization: 'Bearer from-file',
    })
  })

  it('the service account of a pod: address, token and CA, read anew each time; what is missing is named', (context) => {
    const folder = folderOf(context)
    const env = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '6443' }
    const parts = { token: 'first\n', 'ca.crt': 'CA\n', namespace: 'l2cap' }
    for (const [name, text] of Object.entries(parts)) writeFileSync(join(folder, name), text)
    assert.deepEqual(serviceAccountAccess(env, folder), {
      server: 'https://10.0.0.1:6443',
      headers: { authorization: 'Bearer first' },
      tls: { ca: 'CA' },
      proxy: undefined,
      namespace: 'l2cap',
    })
    writeFileSync(join(folder, 'token'), 'next')
    const six = serviceAccountAccess({ ...env, KUBERNETES_SERVICE_HOST: 'fd00::1' }, folder)
    assert.deepEqual([six.server, six.headers['authorization']], ['https://[fd00::1]:6443', 'Bearer next'])
    rmSync(join(folder, 'token'))
    assert.throws(() => serviceAccountAccess(env, folder), {
      code: 'ConfigInvalid',
      message: /service account.*token/,
    })
  })

  it('certificates, server name and CA go to TLS', async (context) => {
    const pem = (text: string) => Buffer.from(text).toString('base64')
    const file = kubeconfig(folderOf(context), {
      user: `{client-certificate-data: ${pem('CERT')}, client-key-data: ${pem('KEY')}}`,
      cluster: `, certificate-authority-data: ${pem('CA')}, tls-server-name: kubernetes`,
    })
    const { tls } = await accessReader({ kubeconfig: file }, {})()
    assert.deepEqual(tls, { ca: 'CA', cert: 'CERT', key: 'KEY', servername: 'kubernetes' })
  })

  it('plain HTTP is for this machine alone', async (context) => {
    const folder = folderOf(context)
    const local = kubeconfig(folder, {
      server: 'http://127.0.0.1:8080',
      cluster: ', insecure-skip-tls-verify: true',
    })
    assert.equal((await accessReader({ kubeconfig: local }, {})()).server, 'http://127.0.0.1:8080')
    const far = kubeconfig(folder, { name: 'far', server: 'http://one.example' })
    await assert.rejects(accessReader({ kubeconfig: far }, {})(), /must be an https: URL/)
  })

  it('nothing configured, and files that cannot be read: one sentence that says what to do', async (context) => {
    const folder = folderOf(context)
    const missing = await accessReader({}, { HOME: folder })().catch((error: unknown) => error)
    assert.ok(missing instanceof KubeError && missing.code === 'ConfigMissing')
    assert.match(missing.message, /Give --kubeconfig or KUBECONFIG/)
    const bad = await accessReader({ kubeconfig: join(folder, 'none') }, {})().catch(
      (error: unknown) => error,
    )
    assert.ok(bad instanceof KubeError && bad.code === 'ConfigInvalid')
    assert.match(bad.message, /cannot read .*none/)
  })
})
