import type { V1ContainerStatus, V1Pod } from '@kubernetes/client-node'
import { HALT_EXIT_CODES, isHaltReason } from '../../../api/reasons.ts'
import type { Report } from '../../../api/report.ts'
import type { L2CaptureResource } from '../../../api/resource.ts'
import { CaptureSpec } from '../../../api/spec.ts'
import { type Member, memberOf } from '../../../operator/plan/fleet.ts'
import type { MemoryView, Observed } from '../../../operator/plan/observed.ts'
import { buildPod } from '../../../operator/plan/pod.ts'
import { templateHash } from '../../../operator/plan/template.ts'
import { parseSettings, type Settings } from '../../../operator/settings.ts'

/** Objects as an API server gives them, for tests of what follows from them. */

export const NOW = Date.parse('2026-11-22T12:00:00Z')
export const iso = (ms: number): string => new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z')
/** The generated types say Date where the wire has text. */
export const wireTime = (ms: number): Date => JSON.parse(JSON.stringify(iso(ms)))

export const settingsOf = (changes: Record<string, unknown> = {}): Settings =>
  parseSettings({ image: 'registry.example/l2cap:1', ...changes })

export function specOf(changes: Record<string, unknown> = {}): CaptureSpec {
  return CaptureSpec.parse({
    exchange: 'BinanceUsdm',
    symbols: ['BTCUSDT', 'ETHUSDT'],
    storage: { s3: { bucket: 'market-data', prefix: 'l2' } },
    ...changes,
  })
}

interface Identity {
  readonly name?: string
  readonly namespace?: string
  readonly uid?: string
  readonly generation?: number
  readonly createdMs?: number
}

export function captureOf(spec: CaptureSpec = specOf(), identity: Identity = {}): L2CaptureResource {
  const { name = 'majors', namespace = 'md', generation = 1, createdMs = NOW - 3_600_000 } = identity
  const { uid = `uid-${name}` } = identity
  return {
    apiVersion: 'l2cap.dev/v1alpha1',
    kind: 'L2Capture',
    metadata: { name, namespace, uid, generation, creationTimestamp: wireTime(createdMs) },
    spec,
  }
}

export function member(resource: L2CaptureResource): Member {
  const read = memberOf(resource)
  if (!('spec' in read)) throw new Error(read.message)
  return read
}

export const EMPTY_MEMORY: MemoryView = {
  startedAtMs: NOW - 1000,
  starts: [],
  expected: [],
  written: [],
  refused: new Map(),
  endedSeen: new Map(),
  told: new Set(),
}

export function observe(
  capture: L2CaptureResource,
  pods: readonly V1Pod[],
  more: Partial<Observed> = {},
): Observed {
  return { capture, captures: [], pods, statuses: new Map(), memory: EMPTY_MEMORY, ...more }
}

export function reportOf(reason: string, more: Partial<Report> = {}): Report {
  return {
    reason,
    message: `what ${reason} means`,
    symbol: 'BTCUSDT',
    run: '',
    at: iso(NOW - 60_000),
    exitCode: isHaltReason(reason) ? HALT_EXIT_CODES[reason] : 0,
    haltsInARow: 1,
    previous: null,
    unshippedBytes: 0,
    quarantinedBytes: 0,
    ...more,
  }
}

export interface PodShape {
  readonly symbol?: string
  readonly attempt?: number
  readonly createdMs?: number
  readonly node?: string
  readonly hash?: string
  /** unstarted: never ran; starting: runs and was never live; live; down: ended and waits; failed: phase Failed. */
  readonly as?: 'unstarted' | 'starting' | 'live' | 'lost-live' | 'down' | 'failed' | 'succeeded'
  readonly report?: Report
  readonly message?: string
  readonly exitCode?: number
  readonly finishedMs?: number
  readonly deleting?: boolean
  readonly notes?: Readonly<Record<string, string>>
  readonly owner?: string | null
  readonly share?: number
}

/** A pod of a capture, as the operator would have made it and a kubelet would have it. */
export function podOf(resource: L2CaptureResource, settings: Settings, shape: PodShape = {}): V1Pod {
  const capture = member(resource)
  const { symbol = 'BTCUSDT', attempt = 1, createdMs = NOW - 1_200_000, as = 'live' } = shape
  const hash = shape.hash ?? templateHash(capture.spec, settings, symbol)
  const share = shape.share ?? 2 ** Math.ceil(Math.log2(capture.spec.symbols.length))
  const built = buildPod(
    {
      capture,
      symbol,
      attempt,
      hash,
      generation: resource.metadata.generation ?? 1,
      share,
      predecessor: undefined,
      cause: 'new',
      avoidNodes: [],
    },
    settings,
  )
  const { metadata = {}, spec } = built
  const owners =
    shape.owner === null ? [] : [{ ...metadata.ownerReferences?.[0], uid: shape.owner ?? capture.uid }]
  return JSON.parse(
    JSON.stringify({
      ...built,
      metadata: {
        ...metadata,
        uid: `${symbol}-${attempt}`,
        resourceVersion: '10',
        creationTimestamp: iso(createdMs),
        annotations: { ...metadata.annotations, ...shape.notes },
        ownerReferences: owners,
        ...(shape.deleting === true ? { deletionTimestamp: iso(NOW - 5000) } : {}),
      },
      spec: { ...spec, nodeName: shape.node ?? 'node-a' },
      status: statusFor(as, createdMs, shape),
    }),
  )
}

function statusFor(as: NonNullable<PodShape['as']>, createdMs: number, shape: PodShape): object {
  const phase = { unstarted: 'Pending', failed: 'Failed', succeeded: 'Succeeded' }[as as string] ?? 'Running'
  const everLive = as === 'live' || as === 'lost-live'
  const condition = (type: string, holds: boolean, atMs: number) => ({
    type,
    status: holds ? 'True' : 'False',
    lastTransitionTime: iso(atMs),
  })
  return {
    phase,
    startTime: iso(createdMs + 1000),
    conditions: [
      condition('Initialized', true, createdMs + 1000),
      condition('Ready', as === 'live', createdMs + (everLive ? 30_000 : 1000)),
    ],
    containerStatuses: [containerFor(as, shape)],
  }
}

function containerFor(as: NonNullable<PodShape['as']>, shape: PodShape): Partial<V1ContainerStatus> {
  const message = shape.message ?? (shape.report === undefined ? undefined : JSON.stringify(shape.report))
  const terminated =
    message === undefined
      ? undefined
      : {
          exitCode: shape.exitCode ?? shape.report?.exitCode ?? 1,
          message,
          reason: 'Error',
          finishedAt: wireTime(shape.finishedMs ?? NOW - 60_000),
        }
  const over = as === 'failed' || as === 'succeeded'
  const running = { running: { startedAt: wireTime(NOW - 50_000) } }
  const waiting = { waiting: { reason: as === 'unstarted' ? 'ContainerCreating' : 'CrashLoopBackOff' } }
  return {
    name: 'capture',
    restartCount: terminated === undefined ? 0 : 1,
    ...(over && terminated !== undefined
      ? { state: { terminated } }
      : {
          state: as === 'down' || as === 'unstarted' ? waiting : running,
          lastState: terminated === undefined ? {} : { terminated },
        }),
  }
}
