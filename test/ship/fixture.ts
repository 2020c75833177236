/** Windows, spools and buckets for the tests of ship. Parquet is stood in for by bytes: ship reads none. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { windowName } from '../../api/names.ts'
import { type Bucket, type BucketEntry, BucketError } from '../../capture/ship/bucket.ts'
import { objectKey } from '../../capture/ship/keys.ts'
import {
  type Manifest,
  type ManifestFields,
  parseManifest,
  sealManifest,
  serialiseManifest,
} from '../../capture/ship/manifest.ts'
import { MANIFEST_FILE, openSpool, type Spool } from '../../capture/ship/spool.ts'
import { formatTimeUs, parseTimeUs } from '../../capture/ship/time.ts'

export const RUN = '20261122T120457123Z-1a2b3c4d'
export const OPENED_US = parseTimeUs('2026-11-22T12:04:57.123456Z')

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** A temporary directory that goes with the test. */
export async function temporary(context: { after(work: () => Promise<void>): void }): Promise<string> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'l2cap-ship-'))
  context.after(() => fs.rm(directory, { recursive: true, force: true }))
  return directory
}

/** What stands in for the Parquet of one stream. */
export function contents(window: number, stream: string, version: string): Buffer {
  return Buffer.from(`${stream} of window ${window}, recorded by ${version}; `.repeat(20))
}

/** The manifest of a window with the given streams, as the recorder would fill it in. */
export function windowManifest(options: {
  window: number
  streams: readonly string[]
  symbol?: string
  prefix?: string
  version?: string
}): Manifest {
  const { window, streams, symbol = 'BTCUSDT', prefix = '', version = '0.1.0' } = options
  const place = { prefix, exchange: 'BinanceUsdm', symbol, openedUs: OPENED_US, run: RUN, window }
  const objects = streams.map((stream) => {
    const bytes = contents(window, stream, version)
    return {
      stream,
      key: objectKey({ ...place, stream }),
      bytes: bytes.byteLength,
      rows: 20,
      sha256: sha256(bytes),
      first_seq: '1',
      last_seq: '20',
      first_id: '9007199254740993',
      last_id: '9007199254741012',
      first_time: formatTimeUs(OPENED_US),
      last_time: formatTimeUs(OPENED_US + 1_900_000),
    }
  })
  const fields: ManifestFields = {
    format: 1,
    exchange: 'BinanceUsdm',
    symbol,
    run: RUN,
    window,
    opened: formatTimeUs(OPENED_US),
    closed: formatTimeUs(OPENED_US + 2_000_000),
    objects,
    coverage: [
      {
        of_stream: 'books20',
        from: formatTimeUs(OPENED_US),
        to: formatTimeUs(OPENED_US + 1_900_000),
        prev_id: '9007199254740992',
        first_id: '9007199254740993',
        last_id: '9007199254741012',
        rows: 20,
        state: 'proven',
        ended_by: null,
        detail: '',
        seq: '21',
        connection: 1,
      },
    ],
    counts: { messages: 20, inputs: 25 },
    witness: 'replayed',
    written_by: version,
    recorded_by: version,
    writer: { capture: 'majors', uid: 'f3b1', pod: 'majors-btcusdt-1f3a-2', node: 'n1' },
    predecessor: null,
    final: false,
    overlaps: false,
  }
  return sealManifest(fields)
}

/** Lays down a segment and seals a window over it, as the recorder does. */
export async function recordWindow(
  spool: Spool,
  options: { window: number; streams: readonly string[]; version?: string; symbol?: string },
): Promise<{ name: string; manifest: Manifest }> {
  const { window, streams, version = '0.1.0' } = options
  const name = windowName(RUN, window)
  const manifest = windowManifest(options)
  await fs.writeFile(spool.segmentPath(name), `journal of window ${window}`)
  const directory = await spool.makeTmp(name)
  for (const stream of streams) {
    await fs.writeFile(path.join(directory, `${stream}.parquet`), contents(window, stream, version))
  }
  await fs.writeFile(path.join(directory, MANIFEST_FILE), serialiseManifest(manifest))
  await spool.sealWindow(directory, name)
  return { name, manifest }
}

/** A spool with sealed windows 0 … count − 1. */
export async function spoolWith(
  directory: string,
  count: number,
  streams = ['books20', 'coverage'],
  symbol = 'BTCUSDT',
) {
  const spool = await openSpool(path.join(directory, 'spool'))
  const windows: { name: string; manifest: Manifest }[] = []
  for (let window = 0; window < count; window++) {
    windows.push(await recordWindow(spool, { window, streams, symbol }))
  }
  return { spool, windows }
}

/** What a store may do to one operation instead of what it was asked. */
export const FAULTS = [
  'none',
  'throw', // refuses before doing anything
  'lie', // says 200 and stores nothing
  'truncate', // stores half
  'alter', // stores one flipped bit
  'lose_reply', // stores, then fails
  'absent', // a GET that does not see what is there
] as const
export type Fault = (typeof FAULTS)[number]

/** A store in memory that does evil on demand; `stored` is the truth that a reader would find. */
export class EvilBucket implements Bucket {
  readonly description = 'evil store'
  readonly stored = new Map<string, Buffer>()
  /** Every operation in order, `put <key>` or `get <key>`. */
  readonly calls: string[] = []
  /** What to do to the next operation. */
  fault: (operation: 'put' | 'get', key: string) => Fault = () => 'none'

  async put(key: string, body: Buffer, hash: string): Promise<void> {
    this.calls.push(`put ${key}`)
    assert.equal(sha256(body), hash, 'the protocol names the hash of the bytes that it hands over')
    const fault = this.fault('put', key)
    if (fault === 'throw') throw new BucketError('unavailable', 'transient', `put ${key}: 503`)
    if (fault === 'lie') return
    const stored = Buffer.from(fault === 'truncate' ? body.subarray(0, body.byteLength >> 1) : body)
    if (fault === 'alter') stored[stored.byteLength >> 1] = (stored[stored.byteLength >> 1] ?? 0) ^ 1
    this.stored.set(key, stored)
    if (fault === 'lose_reply') throw new BucketError('timeout', 'transient', `put ${key}: no answer`)
  }

  async get(key: string): Promise<Buffer | undefined> {
    this.calls.push(`get ${key}`)
    const fault = this.fault('get', key)
    if (fault === 'throw') throw new BucketError('unavailable', 'transient', `get ${key}: 503`)
    return fault === 'absent' ? undefined : this.stored.get(key)
  }

  async *list(prefix: string): AsyncIterable<BucketEntry> {
    for (const [key, body] of [...this.stored].sort()) {
      if (key.startsWith(prefix)) yield { key, bytes: body.byteLength, modifiedMs: 0 }
    }
  }
}

/** Whether a reader finds the window whole: its manifest reads, and every object is what the manifest says. */
export async function isWholeIn(
  get: (key: string) => Promise<Buffer | undefined>,
  key: string,
): Promise<boolean> {
  const bytes = await get(key)
  if (bytes === undefined) return false
  const manifest = parseManifest(bytes)
  for (const object of manifest.objects) {
    const body = await get(object.key)
    if (body === undefined || sha256(body) !== object.sha256) return false
  }
  return true
}
