import { createHash } from 'node:crypto'

/**
 * Names of pods: `<capture>-<slug>-<hash>-<attempt>`, such as `majors-ethusdt-1f3ac09b-2`. A symbol may hold letters
 * that no Kubernetes name may, and two symbols may look alike without them: the slug is for the reader, the hash
 * makes the difference. The whole name fits a host name of 63, which is stricter than a pod's 253.
 */

export const POD_NAME_LENGTH_MAX = 63
const SLUG_LENGTH_MAX = 20
const HASH_LENGTH = 8
const ATTEMPT_DIGITS_MAX = 6
export const ATTEMPT_MAX = 10 ** ATTEMPT_DIGITS_MAX - 1
const CAPTURE_LENGTH_MAX = POD_NAME_LENGTH_MAX - SLUG_LENGTH_MAX - HASH_LENGTH - ATTEMPT_DIGITS_MAX - 3

/** The symbol as far as a Kubernetes name or label can spell it; `x` where nothing of it can be. */
export function symbolSlug(symbol: string): string {
  const plain = symbol.toLowerCase().replace(/[^a-z0-9]+/g, '-')
  return trimmed(plain.replace(/^-+/, '').slice(0, SLUG_LENGTH_MAX)) || 'x'
}

/** All of a pod's name but the attempt: one for each symbol of a capture, the same for ever. */
export function podNameBase(capture: string, exchange: string, symbol: string): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([capture, exchange, symbol]))
    .digest('hex')
  const start = trimmed(capture.slice(0, CAPTURE_LENGTH_MAX))
  return `${start}-${symbolSlug(symbol)}-${hash.slice(0, HASH_LENGTH)}`
}

export function podName(base: string, attempt: number): string {
  return `${base}-${attempt}`
}

/** The attempt in a pod's name, where the name has this base; undefined otherwise. */
export function attemptOf(name: string, base: string): number | undefined {
  if (!name.startsWith(`${base}-`)) return undefined
  const digits = name.slice(base.length + 1)
  return /^[1-9]\d{0,5}$/.test(digits) ? Number(digits) : undefined
}

/** 1 + the highest attempt among these names; starts again at 1 after the largest that fits. */
export function nextAttempt(names: readonly string[], base: string): number {
  const highest = names.reduce((most, name) => Math.max(most, attemptOf(name, base) ?? 0), 0)
  return highest >= ATTEMPT_MAX ? 1 : highest + 1
}

function trimmed(text: string): string {
  return text.replace(/[-.]+$/, '')
}
