/** Records one segment after another into a local bucket. */

import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { JournalMisuse, JournalUnreadable } from '../journal/mod.ts'
import { recordSegment } from '../record/mod.ts'
import { BucketError, keyOfManifest, LocalBucket, MANIFEST_FILE, type Manifest } from '../ship/mod.ts'
import { CallError } from './call.ts'
import { systemText } from './system.ts'
import { bytesText, count } from './text.ts'

export interface Replayed {
  readonly ok: boolean
  readonly lines: readonly string[]
}

/** One object to lay down. */
interface Item {
  readonly key: string
  readonly file: string
  readonly text: string
}

export class Replayer {
  readonly #out: string
  readonly #bucket: LocalBucket

  /** Throws CallError where the directory cannot be made. */
  static async into(out: string): Promise<Replayer> {
    if (out.startsWith('s3://'))
      throw new CallError(`--out is ${out}; this version writes to local directories only`)
    try {
      await mkdir(out, { recursive: true })
    } catch (error) {
      throw new CallError(`cannot write to ${out}: ${systemText(error)}; give another directory with --out`)
    }
    return new Replayer(out)
  }

  private constructor(out: string) {
    this.#out = out
    this.#bucket = new LocalBucket(out)
  }

  /** Records a segment and says what came of it. Throws what nothing expected. */
  async replay(segmentPath: string): Promise<Replayed> {
    const directory = await mkdtemp(join(tmpdir(), 'l2cap-replay-'))
    try {
      const outcome = await recordSegment({ segmentPath, outDir: directory, prefix: '' })
      switch (outcome.outcome) {
        case 'recorded':
          return await this.#layDown(segmentPath, directory, outcome.manifest)
        case 'mismatch':
          return no(
            `${segmentPath}: ${outcome.detail}; nothing of it is written, keep the segment and report it`,
          )
        case 'empty':
          return no(`${outcome.detail}: nothing was captured in it, nothing is written`)
      }
    } catch (error) {
      const isExpected = [JournalMisuse, JournalUnreadable, BucketError].some((kind) => error instanceof kind)
      if (isExpected && error instanceof Error) return no(`${segmentPath}: ${error.message}`)
      throw error
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  }

  /** Data first, the manifest last: a reader that finds it finds all that it names. */
  async #layDown(segmentPath: string, directory: string, manifest: Manifest): Promise<Replayed> {
    const items: Item[] = manifest.objects.map(({ stream, key, rows, bytes }) => ({
      key,
      file: join(directory, `${stream}.parquet`),
      text: `${count(rows, 'row')}, ${bytesText(bytes)}`,
    }))
    items.push({
      key: keyOfManifest(manifest),
      file: join(directory, MANIFEST_FILE),
      text: `witness ${manifest.witness}`,
    })
    // all are compared before the first is written: what differs leaves the directory as it was
    for (const { key, file } of items) {
      const there = await this.#bucket.get(key)
      if (there === undefined || there.equals(await readFile(file))) continue
      return no(
        `${segmentPath}: ${join(this.#out, key)} is there and differs; nothing is written, give another --out`,
      )
    }
    const lines = [`${segmentPath}:`]
    for (const { key, file, text } of items) {
      const bytes = await readFile(file)
      await this.#bucket.put(key, bytes, createHash('sha256').update(bytes).digest('hex'))
      lines.push(`  ${join(this.#out, key)}  ${text}`)
    }
    return { ok: true, lines }
  }
}

function no(why: string): Replayed {
  return { ok: false, lines: [`l2cap: ${why}`] }
}
