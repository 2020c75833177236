import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ownClusterProblem } from '../cluster/mod.ts'
import { type Disturbance, disturbed, nameOf, type Reference, reference } from './sieve-run.ts'

const problem = ownClusterProblem()
const options = problem === '' ? { concurrency: 3 } : { skip: problem }

/**
 * A part of what `node test/e2e/sieve.ts` goes through: a first creation, the ends of pods, a halt. Of the 29 writes that
 * no life does without: 22 of pods, and the status of each of its seven steps.
 */
const DISTURBANCES: readonly Disturbance[] = [
  { kind: 'killed', after: 1 },
  { kind: 'killed', after: 18 },
  { kind: 'killed', after: 28 },
  { kind: 'stale', after: 2 },
  { kind: 'stale', after: 12 },
  { kind: 'stale', after: 24 },
  { kind: 'hidden', after: 9, events: 4 },
  { kind: 'hidden', after: 27, events: 4 },
]

describe(
  'an operator that dies or is blind in the middle: the same end, the same pods created and deleted',
  options,
  () => {
    const expected = Promise.withResolvers<Reference>()
    // who waits for it tells of its failure
    expected.promise.catch(() => undefined)
    it('the life without disturbance', async (context) => {
      const life = reference(context)
      life.then(expected.resolve, expected.reject)
      await life
    })

    for (const by of DISTURBANCES) {
      it(nameOf(by), async (context) => {
        const { disturbed: struck } = await disturbed(context, await expected.promise, by)
        assert.ok(struck, 'the operator wrote less than so often')
      })
    }
  },
)
