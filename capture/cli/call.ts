/** Reading a call: options by `node:util`, and each mistake as one sentence that says what to do. Pure. */
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** A call that cannot be carried out as it stands; exit code 2. The message names the mistake and the remedy. */
export class CallError extends Error {
  readonly code = 'WrongCall'

  constructor(message: string) {
    super(message)
    this.name = 'CallError'
  }
}

/** Edits between a mistyped word and the one that is suggested for it. */
const EDITS_MAX = 2
const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}
/** Timers of Node hold 31 bits of milliseconds. */
const DURATION_MS_MAX = 24 * 86_400_000

type Options = NonNullable<ParseArgsConfig['options']>

/**
 * Options and positionals of a command; `program` is how it is called, such as `l2cap run`. Throws CallError for an
 * option that is unknown, doubled or without value.
 */
export function readCall<const O extends Options>(program: string, args: readonly string[], options: O) {
  const see = `see ${program} --help`
  const { values, positionals, tokens } = parseLoosely(args, options)
  const seen = new Set<string>()
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined
    if (option === undefined) {
      const known = Object.keys(options).map((name) => `--${name}`)
      throw new CallError(`there is no option ${token.rawName}${suggestion(token.rawName, known)}; ${see}`)
    }
    if (
      option.type === 'string' &&
      (token.value === undefined || token.value === '' || isOption(token.value))
    ) {
      throw new CallError(`${token.rawName} needs a value; ${see}`)
    }
    if (option.type === 'boolean' && token.value !== undefined) {
      throw new CallError(`${token.rawName} takes no value; ${see}`)
    }
    if (seen.has(token.name)) throw new CallError(`${token.rawName} is given twice; give it once`)
    seen.add(token.name)
  }
  return { values, positionals }
}

/** Takes anything: what is wrong with it is told above, in our own words. */
function parseLoosely<const O extends Options>(args: readonly string[], options: O) {
  // strict typing of the values, loose parsing: every option was checked against its type when this is used
  const parsed = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true })
  const values = parsed.values as {
    readonly [K in keyof O]?: O[K] extends { type: 'boolean' } ? boolean : string
  }
  return { values, positionals: parsed.positionals, tokens: parsed.tokens }
}

function isOption(value: string): boolean {
  return /^--?[a-z]/.test(value)
}

/** `; did you mean "x"?`, or nothing where no known word is near. */
export function suggestion(word: string, known: readonly string[]): string {
  const lower = word.toLowerCase()
  const ranked = known
    .map((name) => ({ name, edits: edits(lower, name.toLowerCase()) }))
    .filter(
      ({ name, edits }) => edits <= EDITS_MAX || (lower.length > 2 && name.toLowerCase().startsWith(lower)),
    )
    .sort((a, b) => a.edits - b.edits)
  return ranked[0] === undefined ? '' : `; did you mean ${ranked[0].name}?`
}

/** Letters to insert, delete or replace to turn one word into the other. */
function edits(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
    previous = row
  }
  return previous[b.length] ?? 0
}

/** Milliseconds of a text such as `60s`. Throws CallError. */
export function durationMs(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text)
  const ms = match === null ? 0 : Number(match[1]) * (DURATION_UNITS_MS[match[2] ?? ''] ?? 0)
  if (ms > 0 && ms <= DURATION_MS_MAX) return ms
  const expected = ms > 0 ? 'at most 24d' : 'a number with its unit, such as 60s, 10m or 2h'
  throw new CallError(`${option} is "${text}"; give it ${expected}`)
}

/** A whole number within bounds. Throws CallError. */
export function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new CallError(`${option} is "${text}"; give it a whole number from ${min} to ${max}`)
}

/** The words of a comma-separated list, each once. Throws CallError where it is empty or has an empty word. */
export function wordList(option: string, text: string, example: string): string[] {
  const words = text.split(',').map((word) => word.trim())
  if (words.includes('')) throw new CallError(`${option} has an empty entry; give it a list like ${example}`)
  return [...new Set(words)]
}
