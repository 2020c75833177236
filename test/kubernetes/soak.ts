/**
 * `npm run soak -- --minutes N [--seed S]`: the soak of the tests on a cluster, for as long as one likes. The cluster is
 * started as for `npm run test:cluster`; the same seed gives the same faults at the same times.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runOnCluster } from './session.ts'
import { SOAK_ENV } from './soak-plan.ts'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '30' }, seed: { type: 'string' } },
})
const { minutes, seed } = values
if (!(Number(minutes) > 0)) throw new Error(`--minutes is "${minutes}"; a number above 0 was expected`)
await runOnCluster([join(import.meta.dirname, 'soak.test.ts')], {
  [SOAK_ENV.minutes]: minutes,
  ...(seed === undefined ? {} : { [SOAK_ENV.seed]: seed }),
})
