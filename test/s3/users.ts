/** Users of a server that may do only what they are told, for one prefix. */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PutBucketPolicyCommand, type S3Client } from '@aws-sdk/client-s3'
import { environmentCredentials, type S3Config } from '../../capture/ship/s3/mod.ts'
import { type ServerKind, serverBinary } from './binary.ts'
import { makeClient } from './client.ts'
import type { OwnStore } from './store.ts'

export const RIGHTS = ['put', 'get', 'list'] as const
export type Right = (typeof RIGHTS)[number]

const ACTIONS: Readonly<Record<Right, string>> = {
  put: 's3:PutObject',
  get: 's3:GetObject',
  list: 's3:ListBucket',
}
/** Names in the documented policy that stand for a reader's own. */
const DOCUMENTED = {
  principal: 'arn:aws:iam::111122223333:role/l2cap',
  bucket: 'market-data',
  prefix: 'l2',
} as const

interface Policy {
  readonly Statement: readonly { readonly Action: readonly string[] }[]
}

/** The policy of least rights, as docs/OPERATIONS.md has it. */
function documentedPolicy(): string {
  const page = readFileSync(join(import.meta.dirname, '../../docs/OPERATIONS.md'), 'utf8')
  const [, text] = /^```json policy\n(.*?)^```$/ms.exec(page) ?? []
  if (text === undefined) throw new Error('docs/OPERATIONS.md shows no policy')
  return text
}

/** Whether users can be made on this server: the administration of MinIO is a protocol of its own. */
export function hasUsers(kind: ServerKind): boolean {
  return kind === 'versitygw'
}

/** Someone with a key of his own, and no rights at first. */
export class User {
  readonly accessKey = `user${randomBytes(6).toString('hex')}`
  readonly secretKey = randomBytes(20).toString('hex')
  readonly #store: OwnStore

  private constructor(store: OwnStore) {
    this.#store = store
  }

  /** Throws with the words of the server's own tool. */
  static make(store: OwnStore): User {
    const user = new User(store)
    const { server } = store
    const asRoot = [
      'admin',
      '-a',
      server.accessKey,
      '-s',
      server.secretKey,
      '--endpoint-url',
      server.endpoint,
    ]
    const who = ['-a', user.accessKey, '-s', user.secretKey, '-r', 'user']
    const { status, stderr } = spawnSync(serverBinary(server.kind), [...asRoot, 'create-user', ...who])
    if (status !== 0) throw new Error(`no user was made: ${stderr}`)
    return user
  }

  get config(): S3Config {
    const { accessKey, secretKey } = this
    const credentials = environmentCredentials({
      AWS_ACCESS_KEY_ID: accessKey,
      AWS_SECRET_ACCESS_KEY: secretKey,
    })
    return { ...this.#store.config, credentials }
  }

  /** For what the product never asks; whoever takes it destroys it. */
  client(): S3Client {
    const { endpoint, region, ca } = this.#store.server
    return makeClient({
      ...{ endpoint, region, ca },
      credentials: { accessKeyId: this.accessKey, secretAccessKey: this.secretKey },
    })
  }

  /** The whole policy of the bucket becomes the documented one, for this user and prefix, less the other rights. */
  async allow(rights: readonly Right[]): Promise<void> {
    const { address, prefix, client } = this.#store
    const text = documentedPolicy()
      .replaceAll(DOCUMENTED.principal, this.accessKey)
      .replaceAll(DOCUMENTED.bucket, address.bucket)
      .replaceAll(`${DOCUMENTED.prefix}/*`, `${prefix}/*`)
    const allowed = rights.map((right) => ACTIONS[right])
    const policy: Policy = JSON.parse(text)
    const Statement = policy.Statement.map((each) => ({
      ...each,
      Action: each.Action.filter((action) => allowed.includes(action)),
    })).filter(({ Action }) => Action.length > 0)
    const Policy = JSON.stringify({ ...policy, Statement })
    await client.send(new PutBucketPolicyCommand({ Bucket: address.bucket, Policy }))
  }
}
