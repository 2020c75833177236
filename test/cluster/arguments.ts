/** How each program of a control plane is started. */
import { join } from 'node:path'

export interface Layout {
  readonly dir: string
  readonly ports: { readonly api: number; readonly etcd: number; readonly peer: number }
  readonly certificates: { readonly caPath: string; readonly certPath: string; readonly keyPath: string }
  /** From a node's last sign of life to its pods' eviction. */
  readonly nodeGraceSeconds: number
}

export const FILES = {
  tokens: 'tokens.csv',
  auditPolicy: 'audit-policy.yaml',
  audit: 'audit.log',
  signingKey: 'service-accounts.key',
  verifyingKey: 'service-accounts.pub',
  controllersKubeconfig: 'controllers.kubeconfig',
  adminKubeconfig: 'admin.kubeconfig',
} as const

const ISSUER = 'https://kubernetes.default.svc.cluster.local'

/**
 * What tests rely on; the others only cost memory. No scheduler: who stands in for the nodes binds the pods.
 */
const CONTROLLERS = [
  'garbage-collector-controller',
  'namespace-controller',
  'serviceaccount-controller',
  'serviceaccount-token-controller',
  'root-ca-certificate-publisher-controller',
  'node-lifecycle-controller',
  'taint-eviction-controller',
  'pod-garbage-collector-controller',
  'disruption-controller',
  'resourcequota-controller',
]

export function etcdArguments({ dir, ports }: Layout): string[] {
  const client = `http://127.0.0.1:${ports.etcd}`
  const peer = `http://127.0.0.1:${ports.peer}`
  return [
    '--name=test',
    `--data-dir=${join(dir, 'etcd')}`,
    // the data of a test need not survive a power cut, and waiting for the disk is what makes etcd slow
    '--unsafe-no-fsync',
    '--log-level=warn',
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=test=${peer}`,
  ]
}

export function apiServerArguments({ dir, ports, certificates }: Layout): string[] {
  return [
    `--etcd-servers=http://127.0.0.1:${ports.etcd}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${ports.api}`,
    // an address of the machine itself may not stand behind the Service `kubernetes`
    '--endpoint-reconciler-type=none',
    `--cert-dir=${join(dir, 'generated')}`,
    `--tls-cert-file=${certificates.certPath}`,
    `--tls-private-key-file=${certificates.keyPath}`,
    `--token-auth-file=${join(dir, FILES.tokens)}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--service-cluster-ip-range=10.96.0.0/16',
    `--service-account-issuer=${ISSUER}`,
    `--service-account-key-file=${join(dir, FILES.verifyingKey)}`,
    `--service-account-signing-key-file=${join(dir, FILES.signingKey)}`,
    `--audit-policy-file=${join(dir, FILES.auditPolicy)}`,
    `--audit-log-path=${join(dir, FILES.audit)}`,
    // a request's line is there when the request is over
    '--audit-log-mode=blocking',
    '--profiling=false',
  ]
}

export function controllerArguments({ dir, certificates, nodeGraceSeconds }: Layout): string[] {
  return [
    `--kubeconfig=${join(dir, FILES.controllersKubeconfig)}`,
    `--controllers=${CONTROLLERS.join(',')}`,
    '--secure-port=0',
    '--leader-elect=false',
    '--use-service-account-credentials=true',
    `--root-ca-file=${certificates.caPath}`,
    `--service-account-private-key-file=${join(dir, FILES.signingKey)}`,
    // its ordinary 20 requests a second make its start take seconds longer
    '--kube-api-qps=500',
    '--kube-api-burst=1000',
    '--node-monitor-period=1s',
    // otherwise one lost node in 10 s, and none at all where more than half of the nodes are lost
    '--node-eviction-rate=10',
    '--secondary-node-eviction-rate=10',
    '--large-cluster-size-threshold=0',
    `--node-monitor-grace-period=${nodeGraceSeconds}s`,
    '--terminated-pod-gc-threshold=50',
    '--profiling=false',
  ]
}

/**
 * What the log of requests holds: who did what to which object, and what came of it; not the control plane's
 * own.
 */
export const AUDIT_POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    users: ['system:kube-controller-manager', 'system:apiserver', 'system:anonymous']
  - level: None
    userGroups: ['system:serviceaccounts:kube-system']
  - level: Metadata
`
