/**
 * What a dead process left in its journal, read without the session: the ids that must be published, because
 * they were on disk. Nothing counts before the clock is known; of depth those count that follow the snapshot which their run's book was joined with.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { recoverSegments, SegmentReader } from '../../capture/journal/mod.ts'
import type { Journalled } from '../support/judge.ts'

const Frame = z.looseObject({
  data: z.looseObject({ e: z.string(), u: z.number().optional(), a: z.unknown().optional() }),
})
const SnapshotBody = z.looseObject({ lastUpdateId: z.number() })

/** Ids in the segments of a spool; of runs whose first segments are gone, all are taken to follow a snapshot. */
export async function journalled(spool: string): Promise<Journalled> {
  const found: Journalled = { depth: [], trades: [] }
  const dir = join(spool, 'journal')
  if (!existsSync(dir)) return found
  /** By run: the id of the snapshot from which on events are published. */
  const joined = new Map<string, bigint>()
  /** By run: probes of the exchange's clock so far. */
  const probes = new Map<string, number>()
  for (const { path, run, window } of (await recoverSegments(dir)).segments) {
    const live = window > 0 && (await isLiveAt(path))
    if (!joined.has(run) && window > 0) joined.set(run, live ? 0n : NEVER)
    // a window may end before the first probes are through: then those of windows that are gone count for nothing
    if (live) probes.set(run, PROBES_WANTED)
    await readSegment(path, run, joined, probes, found)
  }
  return found
}

/** A segment whose run began before it: a live book needs no snapshot, one that waits needs the next. */
async function isLiveAt(path: string): Promise<boolean> {
  const reader = await SegmentReader.open(path)
  const checkpoint = Buffer.from(reader.checkpoint ?? [])
  await reader.close()
  // the state's own word, looked for as text: the session's decoder is what is being tested
  return checkpoint.includes('live')
}

const NEVER = 2n ** 63n
/** Nothing is published before the exchange's clock was probed so often. */
const PROBES_WANTED = 5

async function readSegment(
  path: string,
  run: string,
  joined: Map<string, bigint>,
  probes: Map<string, number>,
  found: Journalled,
): Promise<void> {
  const reader = await SegmentReader.open(path)
  for await (const batch of reader.batches()) {
    for (const input of batch) {
      if (input.kind === 'response' && input.status === 200) {
        const snapshot = SnapshotBody.safeParse(JSON.parse(Buffer.from(input.body).toString()))
        if (snapshot.success) joined.set(run, BigInt(snapshot.data.lastUpdateId))
      }
      if (input.kind === 'clock') probes.set(run, (probes.get(run) ?? 0) + 1)
      if (input.kind !== 'message' || (probes.get(run) ?? 0) < PROBES_WANTED) continue
      const frame = Frame.safeParse(JSON.parse(Buffer.from(input.payload).toString()))
      if (!frame.success) continue
      const { e, u, a } = frame.data.data
      if (e === 'aggTrade' && typeof a === 'number') found.trades.push(BigInt(a))
      if (e === 'depthUpdate' && u !== undefined && BigInt(u) >= (joined.get(run) ?? NEVER)) {
        found.depth.push(BigInt(u))
      }
    }
  }
}
