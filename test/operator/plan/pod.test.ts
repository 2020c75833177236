import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseProcessConfig } from '../../../api/config.ts'
import { ANNOTATIONS, LABELS } from '../../../api/labels.ts'
import { buildPod } from '../../../operator/plan/pod.ts'
import { templateHash } from '../../../operator/plan/template.ts'
import { captureOf, member, podOf, settingsOf, specOf } from './build.ts'

const settings = settingsOf()
const capture = captureOf()
const PINNED = '975180c53bb62e0d'
const built = (changes: Record<string, unknown> = {}, of = settings) => {
  const one = captureOf(specOf(changes))
  return podOf(one, of).spec
}

describe('pods', () => {
  it('run under the restricted profile, without a token, with a read-only root', () => {
    const { metadata, spec } = podOf(capture, settings)
    const container = spec?.containers[0]
    assert.equal(spec?.restartPolicy, 'Always')
    assert.equal(spec?.automountServiceAccountToken, false)
    assert.equal(spec?.serviceAccountName, 'default')
    const { runAsUser, runAsGroup, fsGroup } = spec?.securityContext ?? {}
    assert.deepEqual([runAsUser, runAsGroup, fsGroup], [1000, 1000, 1000], "the image's own user")
    assert.deepEqual(
      [spec?.securityContext?.runAsNonRoot, spec?.securityContext?.seccompProfile?.type],
      [true, 'RuntimeDefault'],
    )
    assert.deepEqual(container?.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    })
    assert.equal(spec?.terminationGracePeriodSeconds, 3600)
    assert.equal(container?.terminationMessagePath, '/dev/termination-log')
    assert.equal(metadata?.ownerReferences?.[0]?.controller, true)
    assert.deepEqual(metadata?.labels, {
      [LABELS.name]: 'l2cap',
      [LABELS.component]: 'capture',
      [LABELS.managedBy]: 'l2cap-operator',
      [LABELS.capture]: 'majors',
      [LABELS.exchange]: 'BinanceUsdm',
      [LABELS.symbolSlug]: 'btcusdt',
    })
  })

  it('carry a configuration that the process accepts, with every path in it', () => {
    const storage = {
      s3: {
        bucket: 'market-data',
        endpoint: 'https://minio.example:9000',
        credentialsSecretName: 'c',
        caSecretName: 'ca',
      },
    }
    const env = built({ storage })?.containers[0]?.env ?? []
    const config = parseProcessConfig(env[0]?.value ?? '', 'L2CAP_CONFIG')
    assert.equal(config.symbol, 'BTCUSDT')
    assert.equal(config.spool.dir, '/spool')
    assert.equal(config.spool.sizeLimitBytes, 5 * 2 ** 30)
    assert.equal(config.storage.s3?.credentialsDir, '/etc/l2cap/s3-credentials')
    assert.equal(config.storage.s3?.caFile, '/etc/l2cap/s3-ca/ca.crt')
    assert.equal(config.annotationsFile, '/etc/podinfo/annotations')
    assert.deepEqual(
      [config.port, config.host, config.handoffSeconds, config.handoverSeconds],
      [9090, '::', 30, 900],
    )
    assert.deepEqual([config.writer.capture, config.writer.uid], ['majors', 'uid-majors'])
    assert.deepEqual(
      env.slice(1).map(({ name, valueFrom }) => [name, valueFrom?.fieldRef?.fieldPath]),
      [
        ['L2CAP_POD_NAME', 'metadata.name'],
        ['L2CAP_POD_UID', 'metadata.uid'],
        ['L2CAP_NODE', 'spec.nodeName'],
      ],
    )
  })

  it('mount Secrets optionally, by fixed keys at fixed places, and only those that are named', () => {
    const s3 = { bucket: 'market-data', credentialsSecretName: 'l2cap-s3', caSecretName: 'minio-ca' }
    const spec = built({ storage: { s3 } })
    const secrets = spec?.volumes?.filter(({ secret }) => secret !== undefined).map(({ secret }) => secret)
    assert.deepEqual(
      secrets?.map((secret) => [secret?.secretName, secret?.optional, secret?.items?.map(({ key }) => key)]),
      [
        ['l2cap-s3', true, ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN']],
        ['minio-ca', true, ['ca.crt']],
      ],
    )
    assert.deepEqual(
      spec?.containers[0]?.volumeMounts?.map(({ mountPath, readOnly }) => [mountPath, readOnly ?? false]),
      [
        ['/spool', false],
        ['/etc/podinfo', true],
        ['/etc/l2cap/s3-credentials', true],
        ['/etc/l2cap/s3-ca', true],
      ],
    )
    const bare = built()
    assert.deepEqual(
      bare?.volumes?.map(({ name }) => name),
      ['spool', 'podinfo'],
    )
    assert.equal(bare?.volumes?.[0]?.emptyDir?.sizeLimit, '5Gi')
  })

  it('a process that hangs is killed soon, whatever the pod has for its backlog; one asked to end has all of it', () => {
    const spec = built()
    const { startupProbe, livenessProbe, readinessProbe } = spec?.containers[0] ?? {}
    assert.equal(spec?.terminationGracePeriodSeconds, 3600)
    assert.equal(startupProbe?.terminationGracePeriodSeconds, 10)
    assert.equal(livenessProbe?.terminationGracePeriodSeconds, 10)
    // the API server refuses it there
    assert.equal(readinessProbe?.terminationGracePeriodSeconds, undefined)
  })

  it('leave a lost node after 30 s, and spread over nodes where they can', () => {
    const spec = built()
    assert.deepEqual(
      spec?.tolerations?.map(({ key, effect, tolerationSeconds }) => [key, effect, tolerationSeconds]),
      [
        ['node.kubernetes.io/not-ready', 'NoExecute', 30],
        ['node.kubernetes.io/unreachable', 'NoExecute', 30],
      ],
    )
    const [spread] = spec?.topologySpreadConstraints ?? []
    assert.deepEqual(
      [spread?.topologyKey, spread?.whenUnsatisfiable],
      ['kubernetes.io/hostname', 'ScheduleAnyway'],
    )
  })

  it('take resources from the user, name by name, and defaults for the rest', () => {
    const resources = { requests: { memory: '1Gi' }, limits: { cpu: '2' } }
    assert.deepEqual(built({ resources })?.containers[0]?.resources, {
      requests: { cpu: '25m', 'ephemeral-storage': '1Gi', memory: '1Gi' },
      limits: { cpu: '2', memory: '1Gi' },
    })
    assert.deepEqual(built()?.containers[0]?.resources, {
      requests: { cpu: '25m', memory: '192Mi', 'ephemeral-storage': '1Gi' },
      limits: { memory: '512Mi' },
    })
  })

  it("take everything else from the administrator, and keep the administrator's affinity beside ours", () => {
    const term = {
      weight: 1,
      preference: { matchExpressions: [{ key: 'zone', operator: 'In', values: ['a'] }] },
    }
    const custom = settingsOf({
      endpoints: { BinanceUsdm: 'http://127.0.0.1:8080' },
      pods: {
        serviceAccountName: 'capture',
        priorityClassName: 'high',
        imagePullSecrets: ['pull'],
        nodeSelector: { disk: 'fast' },
        tolerations: [{ key: 'dedicated', operator: 'Exists' }],
        affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [term] } },
        labels: { team: 'md', [LABELS.capture]: 'not this' },
      },
    })
    const wish = {
      capture: member(capture),
      symbol: 'BTCUSDT',
      attempt: 3,
      hash: 'h',
      generation: 1,
      share: 4,
      predecessor: undefined,
    }
    const pod = buildPod({ ...wish, cause: 'node', avoidNodes: ['node-a'] }, custom)
    assert.equal(pod.spec?.serviceAccountName, 'capture')
    assert.equal(pod.spec?.priorityClassName, 'high')
    assert.equal(pod.spec?.tolerations?.length, 3)
    assert.deepEqual(pod.metadata?.labels?.['team'], 'md')
    assert.equal(pod.metadata?.labels?.[LABELS.capture], 'majors')
    const terms = pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution
    assert.deepEqual([terms?.length, terms?.[0], terms?.[1]?.weight], [2, term, 100])
    assert.match(pod.spec?.containers[0]?.env?.[0]?.value ?? '', /"endpoints":"http:\/\/127.0.0.1:8080"/)
  })
})

describe('template hash', () => {
  const hash = (changes: Record<string, unknown> = {}, of: Record<string, unknown> = {}) =>
    templateHash(specOf(changes), settingsOf(of), 'BTCUSDT')

  it('is the same for the same intent, however it is written, and in every version of the operator', () => {
    assert.equal(hash(), hash({ streams: ['trades', 'books', 'mark_price', 'depth'] }))
    assert.equal(hash(), hash({ symbols: ['BTCUSDT', 'XRPUSDT'] }), 'other symbols are no matter of this one')
    // a change here replaces every pod of every user at the next upgrade: it must be meant
    assert.equal(hash(), PINNED)
  })

  it('changes with what the user or the administrator wants of the pod', () => {
    const changes = [
      hash({ bookLevels: 10 }),
      hash({ guards: { auditSeconds: 60 } }),
      hash({ spool: { sizeLimit: '1Gi' } }),
      hash({ storage: { s3: { bucket: 'other' } } }),
      hash({ resources: { limits: { memory: '1Gi' } } }),
      hash({}, { image: 'registry.example/l2cap:2' }),
      hash({}, { endpoints: { BinanceUsdm: 'http://127.0.0.1:1' } }),
      hash({}, { pods: { priorityClassName: 'high' } }),
      hash({}, { times: { handoffSeconds: 5 } }),
    ]
    assert.equal(new Set([hash(), ...changes]).size, changes.length + 1)
  })

  it('does not change with limits and deadlines of the operator itself, nor with suspend', () => {
    assert.equal(hash(), hash({ suspend: true }))
    assert.equal(
      hash(),
      hash({}, { addresses: 4, times: { successorDeadlineSeconds: 1 }, limits: { startsPerMinute: 1 } }),
    )
  })

  it('stands on the pod, and share, predecessor, attempt and node do not change it', () => {
    const one = podOf(capture, settings, { attempt: 1, share: 2 }).metadata?.annotations
    const two = podOf(capture, settings, { attempt: 9, share: 64 }).metadata?.annotations
    assert.equal(one?.[ANNOTATIONS.templateHash], two?.[ANNOTATIONS.templateHash])
    assert.notEqual(one?.[ANNOTATIONS.share], two?.[ANNOTATIONS.share])
  })
})
