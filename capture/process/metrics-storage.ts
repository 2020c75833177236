/** The metrics of what lies on the disk, and of its way into the bucket. */
import { BUCKET_ERROR_CLASSES, BUCKET_OPERATIONS, REQUEST_OUTCOMES } from '../ship/mod.ts'
import { counter, gauge, histogram, type MetricSources } from './metrics-sources.ts'
import { by, type Metric, one } from './prom.ts'
import { waitingWindows } from './status.ts'

export const DISK: readonly Metric<MetricSources>[] = [
  counter('l2cap_journal_written_bytes_total', 'Bytes journalled.', ({ keeper }) =>
    one(keeper.journalled.writtenBytes),
  ),
  counter('l2cap_journal_synced_bytes_total', 'Bytes journalled that survive a power loss.', ({ keeper }) =>
    one(keeper.journalled.syncedBytes),
  ),
  gauge('l2cap_journal_queued_bytes', 'Bytes that wait for the disk.', ({ keeper }) =>
    one(keeper.run?.queuedBytes ?? 0),
  ),
  gauge('l2cap_spool_bytes', 'Bytes of all files in the spool.', ({ usage }) => one(usage.bytes)),
  gauge('l2cap_spool_cap_bytes', 'Bytes at which a capture pauses: 80 % of the size limit.', ({ room }) =>
    one(room.capBytes),
  ),
  gauge(
    'l2cap_spool_full_seconds',
    'Until the spool or its file system is full of what is not shipped, at the rate of the last two rotations, at least a minute.',
    ({ room }) => one(room.secondsUntilFull),
  ),
  gauge('l2cap_unshipped_bytes', 'Bytes that only the spool holds.', ({ usage }) =>
    one(usage.unshippedBytes),
  ),
  gauge('l2cap_quarantined_bytes', 'Bytes in quarantine that are not shipped.', ({ usage }) =>
    one(usage.quarantinedBytes),
  ),
  gauge('l2cap_windows_waiting', 'Closed windows that are not committed.', ({ usage, keeper }) =>
    one(waitingWindows(usage, keeper)),
  ),
  gauge(
    'l2cap_oldest_waiting_seconds',
    'Since the window that waits longest was last written to.',
    ({ usage, keeper, nowMs }) =>
      one(
        usage.oldestMs === null || waitingWindows(usage, keeper) === 0
          ? 0
          : Math.max(0, nowMs - usage.oldestMs) / 1000,
      ),
  ),
  counter(
    'l2cap_windows_shipped_total',
    'Windows whose manifest is in the bucket: committed by this process, or found there already.',
    ({ shipped }) =>
      by('outcome', [
        ['committed', shipped.committed],
        ['already', shipped.already],
      ]),
    ['outcome'],
  ),
  counter('l2cap_quarantine_shipped_total', 'Segments shipped to quarantine.', ({ shipped }) =>
    one(shipped.quarantined),
  ),
]

export const SHIP: readonly Metric<MetricSources>[] = [
  counter('l2cap_ship_attempts_total', 'Tries to ship a window, or a segment to quarantine.', ({ shipped }) =>
    one(shipped.attempts),
  ),
  counter(
    'l2cap_ship_failures_total',
    'Tries to ship that failed, by what must be done about it.',
    ({ shipped }) =>
      by(
        'class',
        BUCKET_ERROR_CLASSES.map((each) => [each, shipped.failuresByClass[each]]),
      ),
    ['class'],
  ),
  gauge('l2cap_ship_waiting', '1 while shipping waits after a failure.', ({ ship }) =>
    one(ship.state === 'waiting' ? 1 : 0),
  ),
  gauge(
    'l2cap_ship_waiting_seconds',
    'Since the first failure that no success has followed; 0 where there is none.',
    ({ ship, nowMs }) =>
      one(ship.state === 'waiting' ? Math.max(0, nowMs - Date.parse(ship.since)) / 1000 : 0),
  ),
  gauge(
    'l2cap_bucket_check_failed',
    '1 while the check of the bucket that a start makes has not passed, and failed last.',
    ({ ship }) => one(ship.check === null ? 0 : 1),
  ),
  histogram(
    'l2cap_commit_seconds',
    'From the first request of a commit to the proof of its manifest.',
    ({ commitSeconds }) => one(commitSeconds),
  ),
  counter(
    'l2cap_bucket_requests_total',
    'Requests to the bucket that are over, by operation and outcome, those of its check among them.',
    ({ asked }) =>
      BUCKET_OPERATIONS.flatMap((operation) =>
        REQUEST_OUTCOMES.map((outcome) => ({
          labels: { operation, outcome },
          value: asked.ended[operation][outcome],
        })),
      ),
    ['operation', 'outcome'],
  ),
  counter('l2cap_bucket_put_bytes_total', 'Bytes that the bucket took.', ({ asked }) => one(asked.putBytes)),
  counter(
    'l2cap_bucket_got_bytes_total',
    'Bytes that came back from the bucket, the most of them as proof.',
    ({ asked }) => one(asked.gotBytes),
  ),
]
