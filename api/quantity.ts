/**
 * Quantities of Kubernetes, such as `5Gi` or `250m`, as far as an L2Capture may hold them: not negative, at most
 * three decimals, and the suffixes that people use. Every text that matches here means to the API server what it
 * means here.
 */

const SUFFIXES = 'm|k|M|G|T|Ki|Mi|Gi|Ti'
const QUANTITY = new RegExp(String.raw`^(\d+)(?:\.(\d{1,3}))?(${SUFFIXES})?$`)
export const QUANTITY_PATTERN = new RegExp(String.raw`^\d{1,12}(?:\.\d{1,3})?(?:${SUFFIXES})?$`)
/** Bytes come whole: no thousandths of them, and at least one. */
export const BYTES_PATTERN = /^[1-9]\d{0,11}(?:\.\d{1,3})?(?:k|M|G|T|Ki|Mi|Gi|Ti)?$/
/** The longest text that a pattern here takes. */
export const QUANTITY_LENGTH_MAX = 18

const UNITS: Readonly<Record<string, bigint>> = {
  '': 1000n,
  m: 1n,
  k: 1000n ** 2n,
  M: 1000n ** 3n,
  G: 1000n ** 4n,
  T: 1000n ** 5n,
  Ki: 1000n * 2n ** 10n,
  Mi: 1000n * 2n ** 20n,
  Gi: 1000n * 2n ** 30n,
  Ti: 1000n * 2n ** 40n,
}

/** Millionths of the unit: exact for every quantity; undefined for a text that is none. */
function millionths(text: string): bigint | undefined {
  const match = QUANTITY.exec(text)
  if (match === null) return undefined
  const [, whole = '', decimals = '', suffix = ''] = match
  return BigInt(whole + decimals.padEnd(3, '0')) * (UNITS[suffix] ?? 0n)
}

/** Bytes of a quantity such as "5Gi", rounded down. Throws RangeError for a text that is none. */
export function bytesOfQuantity(text: string): number {
  const exact = millionths(text)
  if (exact === undefined) throw new RangeError(`"${text}" is no quantity of bytes such as 5Gi`)
  return Number(exact / 1_000_000n)
}

/** Whether `a` is at most `b`; also where one of them is no quantity, which others refuse. */
export function isAtMost(a: string, b: string): boolean {
  const [left, right] = [millionths(a), millionths(b)]
  return left === undefined || right === undefined || left <= right
}
