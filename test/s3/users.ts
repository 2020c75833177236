/** Users of a server that may do only what they are told, for one prefix. */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { PutBucketPolicyCommand } from '@aws-sdk/client-s3'
import { environmentCredentials, type S3Config } from '../../capture/ship/s3/mod.ts'
import { type ServerKind, serverBinary } from './binary.ts'
import type { OwnStore } from './store.ts'

export const RIGHTS = ['put', 'get', 'list'] as const
export type Right = (typeof RIGHTS)[number]

const OBJECT_ACTIONS: Readonly<Partial<Record<Right, string>>> = { put: 's3:PutObject', get: 's3:GetObject' }

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

  /** The whole policy of the bucket becomes this: below the prefix of the store, and nothing else. */
  async allow(rights: readonly Right[]): Promise<void> {
    const { address, prefix, client } = this.#store
    const arn = `arn:aws:s3:::${address.bucket}`
    const principal = { AWS: [this.accessKey] }
    const actions = rights.flatMap((right) => OBJECT_ACTIONS[right] ?? [])
    const objects = { Effect: 'Allow', Principal: principal, Action: actions, Resource: `${arn}/${prefix}/*` }
    const list = {
      ...{ Effect: 'Allow', Principal: principal, Action: 's3:ListBucket', Resource: arn },
      Condition: { StringLike: { 's3:prefix': `${prefix}/*` } },
    }
    const Statement = [...(actions.length > 0 ? [objects] : []), ...(rights.includes('list') ? [list] : [])]
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
    await client.send(new PutBucketPolicyCommand({ Bucket: address.bucket, Policy }))
  }
}
