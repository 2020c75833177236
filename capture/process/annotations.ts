/**
 * The pod's annotations, as the kubelet writes them into a downward API volume: lines of `key="value"`, the value
 * quoted as Go does. The file is a link that the kubelet swaps as a whole. It is how the operator speaks to a process
 * that has no access to the API: it tells how many share the address, and when to drain.
 */
import { readFile, stat } from 'node:fs/promises'

export const SHARE_ANNOTATION = 'l2cap.dev/share'
export const DRAIN_ANNOTATION = 'l2cap.dev/drain'

const SHARE_MAX = 4096
/** The API server takes no more of all annotations of an object together. */
const FILE_BYTES_MAX = 1024 * 1024
const LINE = /^([^=]+)="((?:[^"\\]|\\.)*)"$/
const ESCAPE = /\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)/g
const LETTERS: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
}

/** What the operator asks for. */
export interface Asked {
  /** Symbols behind this address, where a usable number is given. */
  readonly share: number | undefined
  /** `true`: publish what there is and end; `discard`: end without publishing anything. */
  readonly drain: 'true' | 'discard' | undefined
}

export interface AnnotationsLog {
  warn(fields: object, message: string): void
}

/** The annotations of a file's text; `faults` are lines that say nothing. */
export function parseAnnotations(text: string): {
  readonly values: ReadonlyMap<string, string>
  readonly faults: readonly string[]
} {
  const values = new Map<string, string>()
  const faults: string[] = []
  for (const line of text.split('\n')) {
    if (line === '') continue
    const [, key = '', quoted = ''] = LINE.exec(line) ?? []
    if (key === '') faults.push(line.slice(0, 100))
    else
      values.set(
        key,
        quoted.replace(ESCAPE, (_all, escaped: string) => unescaped(escaped)),
      )
  }
  return { values, faults }
}

function unescaped(escaped: string): string {
  if (escaped.length === 1) return LETTERS[escaped] ?? escaped
  const code = Number.parseInt(escaped.slice(1), 16)
  return code > 0x10ffff ? '\ufffd' : String.fromCodePoint(code)
}

/** What the annotations ask of the process; `faults` are values that cannot be used. */
export function askedBy(values: ReadonlyMap<string, string>): Asked & { readonly faults: readonly string[] } {
  const faults: string[] = []
  const drain = values.get(DRAIN_ANNOTATION)
  const known = drain === 'true' || drain === 'discard' ? drain : undefined
  if (known === undefined && drain !== undefined && drain !== '' && drain !== 'false') {
    faults.push(`${DRAIN_ANNOTATION} is "${drain}": expected "true" or "discard"`)
  }
  const text = values.get(SHARE_ANNOTATION)
  const share = text !== undefined && /^\d{1,4}$/.test(text) ? Number(text) : undefined
  const usable = share !== undefined && share >= 1 && share <= SHARE_MAX
  if (text !== undefined && !usable)
    faults.push(`${SHARE_ANNOTATION} is "${text}": expected 1 to ${SHARE_MAX}`)
  return { share: usable ? share : undefined, drain: known, faults }
}

/** Looks at the file again and again; reads it where it has changed. */
export class Annotations {
  readonly #path: string
  readonly #log: AnnotationsLog
  #seen = ''
  #told = ''

  constructor(path: string, log: AnnotationsLog) {
    this.#path = path
    this.#log = log
  }

  /**
   * What is asked for, where that may have changed since the last look. A file that is missing, too large, or garbled
   * is told once, and asks for nothing: a capture does not end for want of instructions.
   */
  async look(): Promise<Asked | undefined> {
    try {
      // follows the links: each new state is another file
      const { ino, mtimeMs, size } = await stat(this.#path)
      const state = `${ino} ${mtimeMs} ${size}`
      if (state === this.#seen) return undefined
      if (size > FILE_BYTES_MAX) throw new Error(`it has ${size} bytes, at most ${FILE_BYTES_MAX}`)
      const { values, faults } = parseAnnotations(await readFile(this.#path, 'utf8'))
      const asked = askedBy(values)
      this.#seen = state
      this.#tell([...faults.map((line) => `no annotation: ${line}`), ...asked.faults].join('; '))
      return asked
    } catch (error) {
      this.#tell(error instanceof Error ? error.message : String(error))
      return undefined
    }
  }

  #tell(fault: string): void {
    if (fault !== '' && fault !== this.#told) {
      this.#log.warn({ path: this.#path }, `the pod's annotations cannot all be used: ${fault}`)
    }
    this.#told = fault
  }
}
