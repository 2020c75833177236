/** Single fields read out of recorded bytes without parsing the whole frame: most frames are never parsed. */

/** The header of an event (names, times, ids) lies within its first bytes, before the levels. */
const HEAD_BYTES = 400

export interface DepthIds {
  readonly firstId: bigint
  readonly lastId: bigint
  readonly prevId: bigint
}

/** `U`, `u` and `pu` of a depthUpdate; undefined where one is missing. */
export function depthIds(bare: Buffer): DepthIds | undefined {
  const head = headOf(bare)
  const firstId = /"U": ?(\d+)/.exec(head)?.[1]
  const lastId = /"u": ?(\d+)/.exec(head)?.[1]
  const prevId = /"pu": ?(\d+)/.exec(head)?.[1]
  if (firstId === undefined || lastId === undefined || prevId === undefined) return undefined
  return { firstId: BigInt(firstId), lastId: BigInt(lastId), prevId: BigInt(prevId) }
}

/** `a` of an aggTrade; 0 where it is missing. */
export function aggregateId(bare: Buffer): bigint {
  return BigInt(/"a": ?(\d+)/.exec(headOf(bare))?.[1] ?? 0)
}

/** `E`, the event time in milliseconds; undefined where there is none. */
export function eventTime(bare: Buffer): number | undefined {
  const digits = /"E": ?(\d+)/.exec(headOf(bare))?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** `lastUpdateId` of a snapshot's body; 0 where it is missing. */
export function snapshotId(body: Buffer): bigint {
  return BigInt(/"lastUpdateId": ?(\d+)/.exec(headOf(body))?.[1] ?? 0)
}

/** `E` and `T` of a body or event, as their digits. */
export function times(bytes: Buffer): { readonly event: string; readonly change: string } {
  const head = headOf(bytes)
  return {
    event: /"E": ?(\d+)/.exec(head)?.[1] ?? '0',
    change: /"T": ?(\d+)/.exec(head)?.[1] ?? '0',
  }
}

function headOf(bytes: Buffer): string {
  return bytes.toString('latin1', 0, HEAD_BYTES)
}
