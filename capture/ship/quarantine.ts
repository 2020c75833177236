/**
 * Segments that no replay vouches for are shipped as they are, so that whoever mends the fault finds them: PUT, GET,
 * compare. Then an empty file of the same name takes the place of the segment: it tells each later start that
 * nothing of the run is published from this window on.
 */
import { randomBytes } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import type { Bucket } from './bucket.ts'
import { notStored, sha256 } from './commit.ts'
import { syncPath, writeNewFile } from './durable.ts'
import { type MarketKey, quarantineKey } from './keys.ts'
import type { Spool } from './spool.ts'

/** Names in quarantine whose bytes are not shipped yet, in order. */
export async function listQuarantined(spool: Spool): Promise<string[]> {
  const waiting: string[] = []
  for (const name of (await fs.readdir(spool.paths.quarantine)).sort()) {
    const found = await fs.lstat(path.join(spool.paths.quarantine, name))
    if (found.isFile() && found.size > 0) waiting.push(name)
  }
  return waiting
}

/** Ships one of them. Throws BucketError, or the system's error; the segment is then as it was. */
export async function shipQuarantined(
  bucket: Bucket,
  spool: Spool,
  name: string,
  market: MarketKey,
): Promise<void> {
  const file = path.join(spool.paths.quarantine, name)
  const key = quarantineKey(market, name)
  const body = await fs.readFile(file)
  const back = await bucket.get(key)
  // an earlier process may have come as far as this
  if (back === undefined || !back.equals(body)) {
    await bucket.put(key, body, sha256(body))
    const proof = await bucket.get(key, body.byteLength)
    if (proof === undefined || !proof.equals(body))
      throw notStored(bucket, key, proof?.byteLength, body.byteLength)
  }
  const marker = path.join(spool.paths.tmp, `${name}-${randomBytes(4).toString('hex')}`)
  await writeNewFile(marker, Buffer.alloc(0))
  await fs.rename(marker, file)
  await syncPath(spool.paths.quarantine)
}
