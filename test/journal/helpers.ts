/** What the journal's tests share: sample inputs and segments, directories, reading all of a segment. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { SegmentEnd, SegmentHeader } from '../../capture/journal/mod.ts'
import { SEGMENT_FORMAT, SegmentReader, segmentName } from '../../capture/journal/mod.ts'
import type { Input } from '../../capture/session/input.ts'

export const RUN = '20261122T120457123Z-1a2b3c4d'
export const NOW_US = 1_795_608_297_123_456
export const CHECKPOINT = Uint8Array.of(0, 1, 2, 254, 255)
export const TRAILER = { closedAt: NOW_US + 9, stateHash: '0123abcd', reason: 'rotation' }

export function header(window = 0, run = RUN): SegmentHeader {
  return {
    format: SEGMENT_FORMAT,
    run,
    window,
    exchange: 'BinanceUsdm',
    symbol: 'BTCUSDT',
    session: { levels: 20, streams: ['books'] },
    writtenBy: '0.1.0',
    writer: { capture: 'default/btc', uid: 'u-1', pod: 'btc-0', node: 'node-a' },
    openedAt: NOW_US,
  }
}

export function message(n: number, bytes = 20): Input {
  const payload = Buffer.alloc(bytes, `{"n":${n}}`)
  return { kind: 'message', received: NOW_US + n, connection: 1, payload }
}

/** One input of each kind. */
export const EACH_KIND: readonly Input[] = [
  { kind: 'opened', received: NOW_US, connection: 1, route: 'public' },
  message(1),
  { kind: 'sent', received: NOW_US + 2, request: 1, limit: 500 },
  {
    kind: 'response',
    received: NOW_US + 3,
    request: 1,
    status: 200,
    usedWeight: 21,
    retryAt: 0,
    error: '',
    body: Buffer.from('{"lastUpdateId":9}'),
  },
  { kind: 'refused', received: NOW_US + 4, request: 2, why: 'weight', until: NOW_US + 99 },
  { kind: 'clock', received: NOW_US + 5, offset: -1500.5, rtt: 3000 },
  { kind: 'listing', received: NOW_US + 6, status: 'not_trading', word: 'PENDING_TRADING' },
  { kind: 'tick', received: NOW_US + 7, wallDistance: -12, share: 4 },
  { kind: 'overload', received: NOW_US + 8, stalledMs: 2400, what: 'journal' },
  { kind: 'closed', received: NOW_US + 9, connection: 1, code: 1006, reason: 'né \u{1F4A5}', silent: true },
  { kind: 'stop', received: NOW_US + 10, reason: 'stopped' },
]

/** The same input with its bytes copied out of any shared buffer, as plain data, for comparison. */
export function owned(input: Input): Input {
  if (input.kind === 'message') return { ...input, payload: new Uint8Array(input.payload) }
  if (input.kind === 'response') return { ...input, body: new Uint8Array(input.body) }
  return { ...input }
}

export function temporaryDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'l2cap-journal-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/**
 * A small file system of its own for one test, or undefined where this machine does not let us mount one: the
 * test is then skipped aloud, and fails under `CI`.
 */
export function mountedDir(t: TestContext, size: string): string | undefined {
  const dir = mkdtempSync(join(tmpdir(), 'l2cap-journal-mount-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'l2cap-test', dir], { stdio: 'pipe' })
  } catch (error) {
    rmSync(dir, { recursive: true })
    if (process.env.CI) throw error
    const said = `SKIPPED "${t.name}": a tmpfs cannot be mounted here`
    console.log(said)
    t.skip(said)
    return undefined
  }
  t.after(() => {
    // Lazily, so that a failed test which still holds a file leaves no mount behind.
    execFileSync('umount', ['-l', dir])
    rmSync(dir, { recursive: true })
  })
  return dir
}

export interface Read {
  readonly header: SegmentHeader | undefined
  readonly checkpoint: Uint8Array | undefined
  readonly inputs: readonly Input[]
  readonly end: SegmentEnd
}

/** A whole segment, copied. */
export async function readAll(path: string, chunkBytes?: number): Promise<Read> {
  const reader = await SegmentReader.open(path, chunkBytes)
  const inputs: Input[] = []
  for await (const batch of reader.batches()) for (const input of batch) inputs.push(owned(input))
  if (!reader.end) throw new Error('a reader that is exhausted must know its end')
  return { header: reader.header, checkpoint: reader.checkpoint, inputs, end: reader.end }
}

/** Where each frame of a segment begins, and where the last one ends. */
export function boundaries(segment: Buffer): number[] {
  const found = [0]
  for (let at = 0; at < segment.length; ) {
    at += 8 + segment.readUInt32LE(at)
    found.push(at)
  }
  return found
}

export function writeSegment(dir: string, bytes: Uint8Array, window = 0): string {
  const path = join(dir, segmentName(RUN, window))
  writeFileSync(path, bytes)
  return path
}

/** Waits for a condition, a turn of the loop at a time; throws at the deadline. */
export async function until(what: string, holds: () => boolean, deadlineMs = 120_000): Promise<void> {
  const end = Date.now() + deadlineMs
  while (!holds()) {
    if (Date.now() > end) throw new Error(`waited in vain for: ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
