import type { Effects } from './effects.ts'
import type { ResponseInput } from './input.ts'

/** The exchange asks for a pause; the request itself may be right. */
const LIMITED = [429, 418]
/** Bad request, not found. */
const NO_SUCH_SYMBOL = [400, 404]

/**
 * So many answers in a row, of one kind, that cannot be used: the exchange speaks another protocol than we do. In a
 * row, not in a time: requests that fail come ever more slowly.
 */
export const BAD_ANSWERS_MAX = 10

/** A request that is refused as wrong, though it was right before: perhaps the symbol is not listed any more. */
export function askListing({ status }: ResponseInput, effects: Effects): void {
  if (status < 400 || status >= 500 || LIMITED.includes(status)) return
  effects.checkListing(`a request was refused with status ${status}`)
}

/** Does the exchange ask for a pause? */
export function isLimited(status: number): boolean {
  return LIMITED.includes(status)
}

/** Does the answer say that there is no such symbol? Any other request of ours is well formed. */
export function refusesSymbol(status: number): boolean {
  return NO_SUCH_SYMBOL.includes(status)
}
