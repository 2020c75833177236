/** A certificate authority of a test's own, and a server's certificate signed by it. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const EC_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

export interface Certificates {
  /** The authority, for clients. */
  readonly caPath: string
  readonly ca: string
  readonly certPath: string
  readonly keyPath: string
}

/**
 * Makes them in `dir`, or finds them there; valid for 127.0.0.1 and localhost. The names of the server's two files
 * are those that MinIO looks for in its directory. Throws with openssl's words.
 */
export function makeCertificates(dir: string): Certificates {
  const server = join(dir, 'server')
  const caPath = join(dir, 'ca.crt')
  const certPath = join(server, 'public.crt')
  const keyPath = join(server, 'private.key')
  if (!existsSync(certPath)) {
    mkdirSync(server, { recursive: true })
    const caKey = join(dir, 'ca.key')
    const request = join(dir, 'leaf.csr')
    const names = join(dir, 'names.ext')
    writeFileSync(names, 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
    const authority = ['-subj', '/CN=authority of a test', '-keyout', caKey, '-out', caPath]
    const usage = ['basicConstraints=critical,CA:true', 'keyUsage=keyCertSign'].flatMap((x) => ['-addext', x])
    openssl('req', '-x509', ...EC_KEY, '-days', '2', ...authority, ...usage)
    openssl('req', ...EC_KEY, '-subj', '/CN=s3', '-keyout', keyPath, '-out', request)
    const signed = ['-CA', caPath, '-CAkey', caKey, '-CAcreateserial', '-days', '2', '-extfile', names]
    openssl('x509', '-req', '-in', request, ...signed, '-out', certPath)
  }
  return { caPath, ca: readFileSync(caPath, 'utf8'), certPath, keyPath }
}

function openssl(...args: string[]): void {
  const { error, status, stderr } = spawnSync('openssl', args)
  if (error !== undefined || status !== 0) throw new Error(`openssl ${args[0]}: ${error?.message ?? stderr}`)
}
