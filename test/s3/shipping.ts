/** A real shipper over a real spool, with timers moved by hand, that watches what is deleted and when. */
import assert from 'node:assert/strict'
import fs from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as moment } from 'node:timers/promises'
import {
  type Bucket,
  keyOfManifest,
  type Manifest,
  Shipper,
  type ShipState,
  type Spool,
} from '../../capture/ship/mod.ts'
import { isWholeIn, spoolWith } from '../ship/fixture.ts'
import { HandTimers } from '../support/hand-timers.ts'

const DEADLINE_MS = 120_000
const POLL_MS = 2
const STREAMS = ['books20', 'coverage']

interface Context {
  after(work: () => Promise<void>): void
}

export interface ShippingOptions {
  readonly dir: string
  readonly bucket: Bucket
  readonly windows: number
  readonly symbol?: string
  /** What lies in the store under a key, whatever the store says. */
  readonly truth: (key: string) => Promise<Buffer | undefined>
  /** Whether the store gave out these bytes to someone who asked; true where the test cannot know. */
  readonly wasServed?: (key: string, bytes: Buffer) => boolean
  /** Uniform in [0, 1); default: the longest delay. */
  readonly random?: () => number
}

export class Shipping {
  readonly spool: Spool
  readonly timers = new HandTimers()
  readonly shipper: Shipper
  readonly states: ShipState[] = []
  /** Everything that was logged, as JSON: nothing of it may hold a credential. */
  readonly logged: string[] = []
  readonly manifests: readonly { readonly name: string; readonly manifest: Manifest }[]
  /** Names of windows in the order in which their local files went. */
  readonly dropped: string[] = []
  /** Windows that went before they were proven; must stay empty. */
  readonly violations: string[] = []

  private constructor(options: ShippingOptions, made: Awaited<ReturnType<typeof spoolWith>>) {
    this.spool = made.spool
    this.manifests = made.windows
    this.#watch(options)
    const keep = (fields: object, message: string) =>
      void this.logged.push(JSON.stringify({ ...fields, message }))
    this.shipper = new Shipper({
      bucket: options.bucket,
      spool: this.spool,
      timers: this.timers,
      random: options.random ?? (() => 1 - 2 ** -53),
      log: { info: keep, warn: keep },
      onState: (state) => void this.states.push(state),
    })
  }

  /** Seals the windows; nothing is shipped before `shipper.start` or a call below. */
  static async make(context: Context, options: ShippingOptions): Promise<Shipping> {
    const shipping = new Shipping(
      options,
      await spoolWith(options.dir, options.windows, STREAMS, options.symbol),
    )
    context.after(() => shipping.shipper.stop())
    return shipping
  }

  get manifestKeys(): string[] {
    return this.manifests.map(({ manifest }) => keyOfManifest(manifest))
  }

  /** Codes of all failures until now, each once. */
  get codes(): string[] {
    const found = this.states.flatMap(({ reason }) => (reason === null ? [] : [reason.split(':')[0] ?? '']))
    return [...new Set(found)]
  }

  /** Lets so many tries fail; ends earlier where all was shipped. The last delay is still to pass. */
  async tries(count: number): Promise<void> {
    const end = this.shipper.counts.failures + count
    while (this.shipper.counts.failures < end && !this.isIdle) await this.#go()
  }

  /** Lets delays pass until everything is shipped, at most so many of them: after failures, and between windows. */
  async finish(delaysMax = 12): Promise<void> {
    for (let i = 0; i <= delaysMax && !this.isIdle; i++) await this.#go()
    assert.ok(this.isIdle, `not shipped after ${delaysMax} delays: ${this.shipper.state.reason}`)
  }

  get isIdle(): boolean {
    return this.shipper.state.state === 'idle' && this.dropped.length === this.manifests.length
  }

  /** Throws unless everything is committed, once and whole, nothing local is left, and all went in order. */
  async assertShipped(truth: ShippingOptions['truth']): Promise<void> {
    const names = this.manifests.map(({ name }) => name)
    assert.deepEqual(this.violations, [])
    assert.deepEqual(this.dropped, names, 'oldest first, each once')
    assert.deepEqual(await this.spool.listWindows(), [])
    for (const key of this.manifestKeys) assert.ok(await isWholeIn(truth, key), `${key} is whole`)
    const { committed, already } = this.shipper.counts
    assert.equal(committed + already, names.length)
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    const end = performance.now() + DEADLINE_MS
    while (!condition()) {
      assert.ok(performance.now() < end, `waited in vain: ${what}; ${JSON.stringify(this.shipper.state)}`)
      await moment(POLL_MS)
    }
  }

  /** Lets the delay pass that it waits for, and all that is done before the next one. */
  async #go(): Promise<void> {
    this.shipper.start()
    if (this.timers.pending > 0) this.timers.next()
    await this.until('another delay, or the end', () => this.timers.pending > 0 || this.isIdle)
  }

  #watch({ truth, wasServed = () => true }: ShippingOptions): void {
    const drop = this.spool.dropWindow.bind(this.spool)
    this.spool.dropWindow = async (name, onStep) => {
      const key = keyOfManifest(this.manifests.find((each) => each.name === name)?.manifest ?? assert.fail())
      const stored = await truth(key)
      if (!(await isWholeIn(truth, key)) || stored === undefined) this.violations.push(`${name}: not whole`)
      else if (!wasServed(key, stored)) this.violations.push(`${name}: its manifest was never read back`)
      this.dropped.push(name)
      await drop(name, onStep)
    }
  }
}

/** Whether all that was sealed is in the spool still, byte for byte as `before`. */
export async function snapshotOf(directory: string): Promise<string[]> {
  const entries = await fs.readdir(directory, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
  const described = files.map(async (file) => `${file} ${(await fs.readFile(file)).toString('base64')}`)
  return (await Promise.all(described)).sort()
}
