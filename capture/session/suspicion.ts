import type { Effects } from './effects.ts'
import type { ResponseInput } from './input.ts'

/** The exchange asks for a pause; the request itself may be right. */
const LIMITED = [429, 418]

/** A request that is refused as wrong, though it was right before: perhaps the symbol is not listed any more. */
export function askListing({ status }: ResponseInput, effects: Effects): void {
  if (status < 400 || status >= 500 || LIMITED.includes(status)) return
  effects.checkListing(`a request was refused with status ${status}`)
}

/** Does the exchange ask for a pause? */
export function isLimited(status: number): boolean {
  return LIMITED.includes(status)
}
