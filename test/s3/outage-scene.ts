/** What tests of outages share: a capture that ships to a store which goes away, and what lies in the store in the end. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ListObjectsV2Command } from '@aws-sdk/client-s3'
import type { CaptureStatus } from '../../capture/process/status.ts'
import { type ManifestCoverage, parseManifest } from '../../capture/ship/mod.ts'
import { type VerifyReport, verifyBucket } from '../../capture/verify/mod.ts'
import { type CaptureOptions, CaptureProcess } from '../support/capture.ts'
import { randomPort } from './ports.ts'
import { OwnStore, TestStore } from './store.ts'

/** Far above what anything here takes on a busy machine: what comes later is a failure. */
export const PATIENCE_MS = 180_000
const POLL_MS = 20

export type PlaceCapture = Partial<Omit<CaptureOptions, 'dir' | 'storage' | 'port'>> & {
  readonly symbol: string
  readonly endpoints: string
  /** Another address of the store. */
  readonly storeEndpoint?: string
}

/** A spool of its own and a prefix of its own in the store; captures follow each other there. */
export class Place {
  readonly dir: string
  readonly store: TestStore
  readonly port = randomPort()
  readonly #captures: CaptureProcess[] = []

  constructor(dir: string, store: TestStore) {
    this.dir = dir
    this.store = store
  }

  /** A capture process that begins now. */
  async capture({ storeEndpoint, ...options }: PlaceCapture): Promise<CaptureProcess> {
    const { bucket, region, accessKey, secretKey } = this.store.address
    const endpoint = storeEndpoint ?? this.store.address.endpoint
    const credentialsDir = join(this.dir, 'credentials')
    await mkdir(credentialsDir, { recursive: true })
    await writeFile(join(credentialsDir, 'AWS_ACCESS_KEY_ID'), accessKey)
    await writeFile(join(credentialsDir, 'AWS_SECRET_ACCESS_KEY'), secretKey)
    const s3 = { bucket, prefix: this.store.prefix, region, endpoint, forcePathStyle: true, credentialsDir }
    const capture = new CaptureProcess({ ...options, dir: this.dir, port: this.port, storage: { s3 } })
    this.#captures.push(capture)
    return capture
  }

  /** Copies what lies in the store into a directory, for readers of directories; returns it. */
  async mirror(): Promise<string> {
    const root = join(this.dir, 'data')
    for (const key of await this.store.keys()) {
      const file = join(root, key)
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, (await this.store.truth(key)) ?? assert.fail(key))
    }
    return root
  }

  /** What a verification of the store itself reports: no problem. */
  async verified(): Promise<VerifyReport> {
    const bucket = this.store.bucket()
    const report = await verifyBucket(bucket)
    bucket.close()
    assert.ok(report.ok, JSON.stringify(report.problems, null, 1))
    return report
  }

  /** Nothing of any window is left in the spool. */
  async assertSpoolEmpty(symbol: string): Promise<void> {
    for (const folder of ['journal', 'sealed', 'tmp', 'quarantine']) {
      assert.deepEqual(await readdir(join(this.dir, 'spool', symbol, folder)), [], folder)
    }
  }

  /** Names of windows in the order in which they were shipped, as all processes so far told it. */
  get shipped(): string[] {
    const lines = this.#captures.flatMap(({ output }) => output.split('\n'))
    return lines
      .filter((line) => line.includes('"window shipped"'))
      .map((line) => String((JSON.parse(line) as { window: unknown }).window))
  }

  async ask(path: string): Promise<Response> {
    return await fetch(`http://127.0.0.1:${this.port}${path}`)
  }

  async status(): Promise<CaptureStatus> {
    return (await (await this.ask('/status')).json()) as CaptureStatus
  }

  async stopCaptures(): Promise<void> {
    for (const capture of this.#captures) await capture.kill()
  }
}

/** A store that a test may stop, and places in it. `close` ends and removes all of it. */
export class OutageScene {
  readonly dir: string
  readonly store: OwnStore
  readonly #places: Place[] = []

  static async open(): Promise<OutageScene> {
    const dir = await mkdtemp(join(tmpdir(), 'l2cap-outage-'))
    return new OutageScene(dir, await OwnStore.start())
  }

  private constructor(dir: string, store: OwnStore) {
    this.dir = dir
    this.store = store
  }

  async place(name: string): Promise<Place> {
    const dir = join(this.dir, name)
    await mkdir(dir)
    const place = new Place(dir, new TestStore(this.store.address))
    this.#places.push(place)
    return place
  }

  async close(): Promise<void> {
    for (const place of this.#places) {
      await place.stopCaptures()
      place.store.client.destroy()
    }
    this.store.client.destroy()
    this.store.server.remove()
    await rm(this.dir, { recursive: true, force: true })
  }
}

/** Looks until something is so. Throws where it is not in time. */
export async function eventually(what: string, test: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!(await test())) {
    assert.ok(performance.now() < deadline, `${what} did not come within ${PATIENCE_MS} ms`)
    await new Promise((wake) => setTimeout(wake, POLL_MS))
  }
}

/** Each window once, oldest first. */
export function assertInOrder(windows: readonly string[]): void {
  assert.deepEqual(windows, [...windows].sort())
  assert.equal(new Set(windows).size, windows.length)
}

/** Manifests in the order of their windows, each with the time at which the store took it, in ms since the epoch. */
export async function committedIn({ address, prefix, client }: TestStore): Promise<[string, number][]> {
  const request = { Bucket: address.bucket, Prefix: `${prefix}/manifest/` }
  const { Contents = [], IsTruncated } = await client.send(new ListObjectsV2Command(request))
  assert.notEqual(IsTruncated, true, 'more manifests than a page holds')
  const found = Contents.map(({ Key = '', LastModified }): [string, number] => [
    Key.slice(Key.lastIndexOf('/') + 1, -'.json'.length),
    LastModified?.getTime() ?? Number.NaN,
  ])
  return found.sort(([a], [b]) => (a < b ? -1 : 1))
}

/** All coverage that manifests in a directory tell of, in the order of runs and windows. */
export async function coverageIn(root: string): Promise<(ManifestCoverage & { readonly run: string })[]> {
  const files = await readdir(join(root, 'manifest'), { recursive: true })
  const names = files.filter((name) => name.endsWith('.json'))
  const manifests = await Promise.all(
    names.map(async (name) => parseManifest(await readFile(join(root, 'manifest', name)))),
  )
  return manifests
    .sort((a, b) => (a.run === b.run ? a.window - b.window : a.run < b.run ? -1 : 1))
    .flatMap(({ run, coverage }) => coverage.map((row) => ({ ...row, run })))
}
