/** What the processes of a cluster tell Prometheus, read by Prometheus' own parser. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { programPath } from '../cluster/mod.ts'

/** What `promtool check metrics` ends with where it could read everything, and would have named something otherwise. */
const ODD_NAMES = 3
/** Names that a library of ours chose long ago, and dashboards of others know. */
const NOT_OURS = /^nodejs_/

/** Why what they tell cannot be parsed here; empty where it can. */
export function promtoolProblem(): string {
  return existsSync(programPath('promtool'))
    ? ''
    : 'promtool is not built: with Go, npm run test:cluster builds it'
}

/** Names of the metrics in a text for Prometheus. Throws where Prometheus could not read it, or finds a name odd. */
export async function metricsTold(exposition: string): Promise<Set<string>> {
  const promtool = spawn(programPath('promtool'), ['check', 'metrics'])
  promtool.stdin.end(exposition)
  const [said, [code]] = await Promise.all([text(promtool.stderr), once(promtool, 'close')])
  const odd = said.split('\n').filter((line) => line !== '' && !NOT_OURS.test(line))
  assert.deepEqual(odd, [])
  assert.ok(code === 0 || code === ODD_NAMES, `promtool ended with ${code}`)
  return new Set([...exposition.matchAll(/^# TYPE (\S+) /gm)].map(([, name = '']) => name))
}
