/** Reads values.yaml as people do: each value with the comment above it. */
import { parse } from 'yaml'

export interface Documented {
  /** As `--set` takes it: `operator.replicas`. */
  readonly path: string
  /** Undefined where it is not set by default. */
  readonly value: unknown
  readonly about: string
}

/** A value without a comment, or a comment without a value. */
export class UndocumentedValue extends Error {
  readonly code = 'UndocumentedValue'
}

const COMMENT = /^ *# (.*)$/
const KEY = /^( *)(#?)([A-Za-z]\w*):(.*)$/
const INDENT = 2

/**
 * Every value that is no map of others, in order; comments of maps are put before those of what they hold only where
 * the map is a value itself. Throws UndocumentedValue.
 */
export function documentedValues(text: string): Documented[] {
  const found: Documented[] = []
  const keys: string[] = []
  let comment: string[] = []
  for (const line of text.split('\n')) {
    const said = COMMENT.exec(line)?.[1]
    const [, indent = '', off, key, rest = ''] = KEY.exec(line) ?? []
    if (said !== undefined) comment.push(said)
    else if (line === '') comment = []
    else if (key !== undefined) {
      const depth = indent.length / INDENT
      keys.splice(depth, keys.length, key)
      // what stands in a list is told by the comment of the list
      if (!Number.isInteger(depth) || keys.length !== depth + 1) continue
      const path = keys.join('.')
      if (comment.length === 0) {
        if (isInsideListed(found, path)) continue
        throw new UndocumentedValue(`values.yaml: say in a comment what ${path} means`)
      }
      const value = off === '#' ? undefined : valueAt(parse(text), keys)
      if (rest.trim() !== '' || Array.isArray(value) || isShown(path))
        found.push({ path, value, about: comment.join(' ') })
      comment = []
    }
  }
  return found
}

/** Maps that are one value, though they are written over several lines. */
const WHOLE = ['operator.resources']

function isShown(path: string): boolean {
  return WHOLE.includes(path)
}

function isInsideListed(found: readonly Documented[], path: string): boolean {
  return found.some((each) => path.startsWith(`${each.path}.`))
}

function valueAt(values: unknown, keys: readonly string[]): unknown {
  return keys.reduce<unknown>(
    (at, key) => (typeof at === 'object' && at !== null ? Reflect.get(at, key) : undefined),
    values,
  )
}
