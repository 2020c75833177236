/** The service account of the pod that we run in: three files and two variables, which need no library. */
import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import type { Access } from './config.ts'
import { KubeError } from './errors.ts'

/** Where the kubelet mounts it; the token in it is renewed while the pod runs. */
const FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount'

/** Reads it anew. Throws KubeError `ConfigInvalid` where it is not all there. */
export function serviceAccountAccess(
  env: Readonly<Record<string, string | undefined>>,
  folder = FOLDER,
): Access {
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '443' } = env
  try {
    const [token = '', ca = '', namespace = ''] = ['token', 'ca.crt', 'namespace'].map((name) =>
      readFileSync(join(folder, name), 'utf8').trim(),
    )
    return {
      server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
      headers: { authorization: `Bearer ${token}` },
      tls: { ca },
      proxy: undefined,
      namespace: namespace || undefined,
    }
  } catch (error) {
    throw new KubeError('ConfigInvalid', `cannot read the pod's service account: ${String(error)}`, error)
  }
}
