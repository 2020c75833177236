import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { waitFor } from '../support/wait.ts'
import { kubeconfigOf } from './access.ts'
import { type AuditEvent, type AuditFilter, readAudit } from './audit.ts'
import { type ApiClient, ApiFailure } from './client.ts'

const TOKEN_SECONDS = 3600

export interface ServiceAccountAccess {
  /** `system:serviceaccount:<namespace>:<name>`, as rules and the log of requests name it. */
  readonly user: string
  readonly token: string
  readonly api: ApiClient
}

export interface PolicyRule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
  readonly resourceNames?: readonly string[] | undefined
}

const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const REVIEWS = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'

export interface TestContext {
  after(work: () => Promise<void>): void
}

export interface Tls {
  readonly cert: string
  readonly key: string
  readonly ca: string
}

interface Review {
  readonly status: { readonly allowed: boolean }
}

interface ClusterParts {
  readonly api: ApiClient
  readonly dir: string
  readonly auditPath?: string | undefined
  readonly tls?: Tls | undefined
}

/** An API server that tests use, their own or somebody's. */
export class Cluster {
  /** With all rights. */
  readonly api: ApiClient
  /** For files of tests. */
  readonly dir: string
  /** The server's own log of requests, where it is at hand. */
  readonly auditPath: string | undefined
  /** The server's certificate, where it is at hand: a proxy in front of it is 127.0.0.1, too. */
  readonly tls: Tls | undefined

  constructor({ api, dir, auditPath, tls }: ClusterParts) {
    this.api = api
    this.dir = dir
    this.auditPath = auditPath
    this.tls = tls
  }

  get server(): string {
    return this.api.address.server
  }

  get ca(): string | undefined {
    return this.api.address.ca
  }

  /**
   * A namespace of the test's own, with its default service account; gone again with the test. Returns its
   * name.
   */
  async namespace(
    context: TestContext,
    prefix = 'test',
    labels: Record<string, string> = {},
  ): Promise<string> {
    const name = `${prefix}-${randomBytes(4).toString('hex')}`
    await this.api.create('/api/v1/namespaces', { metadata: { name, labels } })
    context.after(() => this.#removeNamespace(name))
    await waitFor(`the default service account of ${name}`, () =>
      this.api.exists(`/api/v1/namespaces/${name}/serviceaccounts/default`),
    )
    return name
  }

  /**
   * Makes the account where it is not there, and a token for it. It has no rights but those that a test gives
   * it.
   */
  async serviceAccount(namespace: string, name: string): Promise<ServiceAccountAccess> {
    await this.api.apply(`/api/v1/namespaces/${namespace}/serviceaccounts/${name}`, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name },
    })
    const token = await this.token(namespace, name)
    return { user: `system:serviceaccount:${namespace}:${name}`, token, api: this.api.as(token) }
  }

  /** Gives the account rights within its namespace, and resolves when they count. */
  async grant(namespace: string, name: string, rules: readonly PolicyRule[]): Promise<void> {
    const path = `${RBAC}/namespaces/${namespace}`
    await this.api.create(`${path}/roles`, { metadata: { name }, rules })
    await this.api.create(`${path}/rolebindings`, {
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
      subjects: [{ kind: 'ServiceAccount', name, namespace }],
    })
    const [first] = rules
    if (first === undefined) return
    const [[group], [resource], [verb]] = [first.apiGroups, first.resources, first.verbs]
    const resourceAttributes = { namespace, group, resource, verb, name: first.resourceNames?.[0] ?? '' }
    const user = this.api.as(await this.token(namespace, name))
    await waitFor(`the rights of ${name} to count`, async () => {
      const review = await user.create<Review>(REVIEWS, { spec: { resourceAttributes } })
      return review.status.allowed
    }).finally(() => user.close())
  }

  /** A token of the account; a cluster gives none for less than 600 s. */
  async token(namespace: string, name: string, seconds = TOKEN_SECONDS): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`
    const body = { spec: { expirationSeconds: seconds } }
    return (await this.api.create<{ status: { token: string } }>(path, body)).status.token
  }

  /** The path of a new kubeconfig for this token, of this server or one that stands before it. */
  kubeconfig(
    token: string,
    address: { readonly server?: string; readonly ca?: string | undefined } = {},
  ): string {
    const path = join(this.dir, `kubeconfig-${randomBytes(6).toString('hex')}`)
    writeFileSync(path, kubeconfigOf({ server: this.server, ca: this.ca, ...address, token }), {
      mode: 0o600,
    })
    return path
  }

  /**
   * What was asked of the server, as it logged it itself. Throws for somebody's own cluster, which shows no
   * log.
   */
  async audit(filter: AuditFilter = {}): Promise<AuditEvent[]> {
    if (this.auditPath === undefined) throw new Error('this cluster does not show its audit log')
    return await readAudit(this.auditPath, filter)
  }

  async #removeNamespace(name: string): Promise<void> {
    const path = `/api/v1/namespaces/${name}`
    try {
      // no node is left to confirm that pods have ended
      await this.api.delete(`${path}/pods?gracePeriodSeconds=0`)
      await this.api.delete(path)
    } catch (error) {
      // gone already, or its control plane is
      if (error instanceof ApiFailure && error.status !== 404) throw error
    }
  }
}
