import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isAtMost } from '../../../api/quantity.ts'
import { ClusterCaptureSpec } from '../../../api/spec.ts'
import { SEED } from '../../exchange/seed.ts'
import { captureOf, podOf, settingsOf, specOf } from './build.ts'

const NAMES = ['cpu', 'memory', 'ephemeral-storage'] as const
const EPHEMERAL = 'ephemeral-storage'

const amount = fc.oneof(
  fc.constantFrom('1Gi', '1024Mi', '1G', '512Mi', '5Gi', '20Gi', '250', '2', '1.5Gi'),
  fc
    .tuple(fc.integer({ min: 1, max: 5000 }), fc.constantFrom('', 'Ki', 'Mi', 'Gi', 'k', 'M', 'G'))
    .map((parts) => parts.join('')),
)
const quantities = fc.dictionary(fc.constantFrom(...NAMES), amount)
const wishes = fc.record({
  requests: quantities,
  limits: quantities,
  sizeLimit: fc.constantFrom('16Mi', '500M', '1Gi', '5Gi', '64Gi'),
})

/** Undefined where the API server would not take the resource. */
function specWith({ requests, limits, sizeLimit }: { requests: object; limits: object; sizeLimit: string }) {
  const spec = { ...specOf(), resources: { requests, limits }, spool: { sizeLimit } }
  return ClusterCaptureSpec.safeParse(spec).data
}

describe('resources of pods', () => {
  it('whatever the defaults are: a valid resource gives a pod that is not refused, and what is stated stands', () => {
    fc.assert(
      fc.property(wishes, quantities, quantities, (wish, defaultRequests, defaultLimits) => {
        const spec = specWith(wish)
        fc.pre(spec !== undefined)
        const settings = settingsOf({ pods: { requests: defaultRequests, limits: defaultLimits } })
        const { requests = {}, limits = {} } =
          podOf(captureOf(spec), settings).spec?.containers[0]?.resources ?? {}
        for (const name of NAMES) {
          const [request, limit] = [requests[name], limits[name]]
          assert.equal(
            request,
            wish.requests[name] ?? (defaultRequests[name] === undefined ? undefined : request),
          )
          assert.equal(limit, wish.limits[name] ?? (defaultLimits[name] === undefined ? undefined : limit))
          if (request !== undefined && limit !== undefined)
            assert.ok(isAtMost(request, limit), `${name}: ${request} of ${limit}`)
          if (wish.requests[name] === undefined && request !== undefined)
            assert.ok(isAtMost(request, defaultRequests[name] ?? ''), 'a default request is never raised')
          if (wish.limits[name] === undefined && limit !== undefined)
            assert.ok(isAtMost(defaultLimits[name] ?? '', limit), 'a default limit is never lowered')
        }
        if (limits[EPHEMERAL] !== undefined) assert.ok(isAtMost(wish.sizeLimit, limits[EPHEMERAL]))
      }),
      { seed: SEED },
    )
  })

  it('a default limit is raised to a stated request, and to the spool', () => {
    const resources = { requests: { memory: '2Gi' } }
    const settings = settingsOf({ pods: { limits: { memory: '512Mi', [EPHEMERAL]: '2Gi' } } })
    const { limits } = podOf(captureOf(specOf({ resources })), settings).spec?.containers[0]?.resources ?? {}
    assert.deepEqual(limits, { memory: '2Gi', [EPHEMERAL]: '5Gi' })
  })

  it('a default request gives way to a stated limit', () => {
    const resources = { limits: { memory: '100Mi' } }
    const { requests, limits } =
      podOf(captureOf(specOf({ resources })), settingsOf()).spec?.containers[0]?.resources ?? {}
    assert.deepEqual([requests?.['memory'], limits?.['memory']], ['100Mi', '100Mi'])
  })

  it('a default that is no quantity is refused when the operator starts, and not by every pod', () => {
    for (const wrong of ['lots', '1e3', '-1Gi', '']) {
      assert.throws(
        () => settingsOf({ pods: { limits: { memory: wrong } } }),
        { code: 'SettingsInvalid' },
        wrong,
      )
    }
  })
})
