/** In which order test files run on a cluster, and which of them side by side. */
import { basename } from 'node:path'
import type { Group } from '../support/passes.ts'

export const SUFFIX = '.test.ts'
/** The path of a new user begins on a cluster without our definition; the last one takes it away for a moment. */
const FIRST = 'path'
const LAST = 'upgrade'
/** They hurt pods of their own namespace alone, and wait more than they work. The longest first. */
const BESIDE = ['operators', 'changes', 'store', 'pods']
/** Two cores. */
const BESIDE_MAX = 2

/** One group after another. A file that breaks nodes is a group by itself. */
export function groupsOf(files: readonly string[]): Group[] {
  const named = (name: string) => files.filter((file) => basename(file) === name + SUFFIX)
  const alone = (file: string): Group => ({ files: [file], atOnce: 1 })
  const [first, last, beside] = [named(FIRST), named(LAST), BESIDE.flatMap(named)]
  const special = new Set([...first, ...last, ...beside])
  return [
    ...first.map(alone),
    ...(beside.length === 0 ? [] : [{ files: beside, atOnce: BESIDE_MAX }]),
    ...files
      .filter((file) => !special.has(file))
      .toSorted()
      .map(alone),
    ...last.map(alone),
  ]
}
