/** The chart as helm renders it, and its parts, for tests. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { parse, parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { kubectlProblem, programPath } from '../cluster/mod.ts'

export const ROOT = resolve(import.meta.dirname, '../..')
export const CHART = join(ROOT, 'charts/l2cap')
const TIMEOUT_MS = 300_000

/** Why there is no helm, for the skip of a test: it comes with kubectl. */
export function helmProblem(): string {
  return kubectlProblem()
}

export async function helm(...words: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(programPath('helm'), words, { timeout: TIMEOUT_MS })
  return stdout
}

const Rendered = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    labels: z.record(z.string(), z.string()).default({}),
    annotations: z.record(z.string(), z.string()).default({}),
  }),
})
export type Rendered = z.infer<typeof Rendered>

/** The objects that the chart makes with these words of `helm template`. */
export async function rendered(...words: string[]): Promise<Rendered[]> {
  return objectsIn(await helm('template', 'l2cap', CHART, '--namespace', 'market-data', ...words))
}

export function objectsIn(text: string): Rendered[] {
  return parseAllDocuments(text)
    .map((document): unknown => document.toJS())
    .filter((object) => object !== null)
    .map((object) => Rendered.parse(object))
}

/** The one object of this kind and name. Throws where there is none, or there are several. */
export function one(objects: readonly Rendered[], kind: string, name: string): Rendered {
  const found = objects.filter((object) => object.kind === kind && object.metadata.name === name)
  const [object] = found
  if (object === undefined || found.length > 1) throw new Error(`${found.length} of ${kind} ${name}`)
  return object
}

/** What lies at a path of keys in an object; undefined where nothing does. */
export function at(object: unknown, ...keys: (string | number)[]): unknown {
  return keys.reduce<unknown>(
    (value, key) => (typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined),
    object,
  )
}

export function chartFile(name: string): unknown {
  return parse(readFileSync(join(CHART, name), 'utf8'))
}
