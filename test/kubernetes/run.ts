/**
 * `npm run test:cluster`: the tests on a real cluster, of this machine or, with L2CAP_TEST_KUBECONFIG, somebody's.
 * Names of test files run those alone: `npm run test:cluster -- first`.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { SUFFIX } from './order.ts'
import { runOnCluster } from './session.ts'

function filesNamed(names: readonly string[]): string[] {
  const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith(SUFFIX))
  const chosen = files.filter((file) => names.length === 0 || names.some((name) => file.startsWith(name)))
  if (chosen.length === 0) throw new Error(`no such test; there are ${files.join(', ')}`)
  return chosen.map((file) => join(import.meta.dirname, file))
}

await runOnCluster(filesNamed(process.argv.slice(2)))
