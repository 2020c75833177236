/** How clients come to an API server: tokens, and files that say so. */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { ApiAddress } from './client.ts'

/** A kubeconfig with one cluster and one user. */
export function kubeconfigOf({ server, ca, token, cert, key }: ApiAddress): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    clusters: [
      {
        name: 'test',
        cluster: { server, ...(ca === undefined ? {} : { 'certificate-authority-data': base64(ca) }) },
      },
    ],
    users: [
      {
        name: 'test',
        user: {
          ...(token === undefined ? {} : { token }),
          ...(cert === undefined ? {} : { 'client-certificate-data': base64(cert) }),
          ...(key === undefined ? {} : { 'client-key-data': base64(key) }),
        },
      },
    ],
  })
}

/** The key that the API server signs tokens of service accounts with, and its public half; two paths. */
export function writeSigningKey(dir: string, privateName: string, publicName: string): void {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = privateKey.export({ type: 'sec1', format: 'pem' })
  writeFileSync(join(dir, privateName), pem, { mode: 0o600 })
  const half = createPublicKey(createPrivateKey(pem)).export({ type: 'spki', format: 'pem' })
  writeFileSync(join(dir, publicName), half)
}

/** The user that a bearer token of a real cluster's kubeconfig stands for; its plug-ins are asked for one. */
export async function readKubeconfig(path: string): Promise<ApiAddress> {
  // a second and 80 MB, for those alone who bring their own cluster
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  config.loadFromFile(path)
  const cluster = config.getCurrentCluster()
  if (cluster === null) throw new Error(`${path} has no current context`)
  const options: Record<string, unknown> & { headers?: Record<string, string> } = {}
  await config.applyToHTTPSOptions(options)
  const text = (value: unknown) => (value === undefined || value === null ? undefined : String(value))
  const bearer = /^Bearer (.+)$/.exec(options.headers?.['Authorization'] ?? '')
  return {
    server: cluster.server.replace(/\/$/, ''),
    ca: text(options['ca']),
    cert: text(options['cert']),
    key: text(options['key']),
    token: bearer?.[1],
  }
}
