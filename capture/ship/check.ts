/** Whether a bucket does what shipping needs, asked before the first window is due: better told now than then. */
import { type Bucket, BucketError } from './bucket.ts'
import { notStored, sha256 } from './commit.ts'

/** Written over by every capture and never deleted: nobody needs the right to delete. Readers pass it by. */
export const PROBE_KEY = 'probe/l2cap.txt'
/** The same from every capture, so that two that check at once do not see each other's. */
const PROBE = Buffer.from(
  'Written by l2cap at its start, to check that it may write here. It may be deleted.\n',
)

/** Writes, reads back and lists one small object. Throws BucketError, which says what is wrong and what to do. */
export async function checkBucket(bucket: Bucket): Promise<void> {
  await bucket.put(PROBE_KEY, PROBE, sha256(PROBE))
  const back = await bucket.get(PROBE_KEY, PROBE.byteLength)
  if (back === undefined || !back.equals(PROBE)) {
    throw notStored(bucket, PROBE_KEY, back?.byteLength, PROBE.byteLength)
  }
  for await (const { key } of bucket.list(PROBE_KEY)) if (key === PROBE_KEY) return
  const what = `${bucket.description} takes ${PROBE_KEY} and gives it back, but does not list it`
  throw new BucketError('not_listed', 'integrity', `${what}; is it compatible with S3?`)
}
