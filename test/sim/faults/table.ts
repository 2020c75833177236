/** The table of kinds. A new kind is one entry in one of its parts. */
import { DEPTH_KINDS } from './depth.ts'
import { EXCHANGE_KINDS } from './exchange.ts'
import type { FaultKind } from './kind.ts'
import { REST_KINDS } from './rest.ts'
import { SOCKET_KINDS } from './sockets.ts'

export const FAULT_KINDS = { ...DEPTH_KINDS, ...SOCKET_KINDS, ...REST_KINDS, ...EXCHANGE_KINDS }

export type FaultKindName = keyof typeof FAULT_KINDS

/** The entry of a kind, as what all of them are. */
export function kindOf(name: FaultKindName): FaultKind {
  return FAULT_KINDS[name]
}

export function isFaultKind(name: string): name is FaultKindName {
  return Object.hasOwn(FAULT_KINDS, name)
}
