/** The S3 servers that tests start, as test/setup.js built them. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const KINDS = ['versitygw', 'minio'] as const
export type ServerKind = (typeof KINDS)[number]

/** Which server the suite runs against: `L2CAP_TEST_S3_SERVER`, else versitygw. Throws where there is no such. */
export function serverKind(env: NodeJS.ProcessEnv = process.env): ServerKind {
  const name = env['L2CAP_TEST_S3_SERVER'] ?? 'versitygw'
  const kind = KINDS.find((each) => each === name)
  if (kind === undefined) throw new Error(`no S3 server "${name}" for tests; there are ${KINDS.join(', ')}`)
  return kind
}

/** Where set-up puts the server: by the hash of what it is built from. */
export function serverBinary(kind: ServerKind): string {
  const hash = createHash('sha256')
  for (const name of ['go.mod', 'go.sum']) {
    hash.update(readFileSync(join(import.meta.dirname, 'servers', kind, name)))
  }
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'l2cap')
  return join(cache, `s3-${kind}-${hash.digest('hex').slice(0, 16)}`, kind)
}

/** Why no server can be started here, for the skip of a test; empty where one can. */
export function s3Problem(kind: ServerKind = serverKind()): string {
  if (existsSync(serverBinary(kind))) return ''
  return `the S3 server ${kind} is not built: with Go on the machine, npm run test:s3 -- --server ${kind} does it`
}
