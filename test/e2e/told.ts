/** What the operator tells of captures: every status that it wrote, its events, and its figures. */
import type { L2CaptureResource } from '../../api/resource.ts'
import type { TestContext } from '../cluster/mod.ts'
import { waitFor } from '../support/wait.ts'
import type { Captures } from './captures.ts'

export type CaptureStatus = NonNullable<L2CaptureResource['status']>
export type Attention = NonNullable<CaptureStatus['attention']>[number]

const WITHIN_MS = 180_000

/** Watches from its opening on, so that no status is missed, however soon the next one follows. */
export class Told {
  readonly #scene: Captures
  readonly #statuses = new Map<string, CaptureStatus[]>()
  #opened = false
  #failed: unknown

  private constructor(scene: Captures) {
    this.#scene = scene
  }

  static async open(context: TestContext, scene: Captures): Promise<Told> {
    const told = new Told(scene)
    const abort = new AbortController()
    const path = `${scene.captures}?watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan`
    const watching = scene.api
      .watch<L2CaptureResource>(path, ({ type, object }) => told.#take(type, object), abort.signal)
      .catch((error: unknown) => {
        told.#failed = error
      })
    context.after(async () => {
      abort.abort()
      await watching
    })
    await waitFor('the watch of captures', () => told.#opened, { deadlineMs: 180_000 })
    return told
  }

  /** Statuses of a capture, in order. Throws where some may be missing. */
  statuses(name: string): readonly CaptureStatus[] {
    if (this.#failed !== undefined) throw new Error(`the watch of captures broke: ${this.#failed}`)
    return this.#statuses.get(name) ?? []
  }

  /** Resolves with the first status, past or to come, that says so. */
  async first(
    name: string,
    what: string,
    says: (status: CaptureStatus) => boolean | undefined,
  ): Promise<CaptureStatus> {
    return await waitFor(`${name} to tell ${what}`, () => this.statuses(name).find(says), {
      deadlineMs: WITHIN_MS,
      show: async () => ({
        last: this.statuses(name).at(-1),
        operator: (await this.#scene.operatorOutput()).slice(-3000),
      }),
    })
  }

  /** Resolves with an event of this reason whose note holds this. */
  async event(reason: string, text: string): Promise<string> {
    return await waitFor(
      `an event ${reason} that names ${text}`,
      async () =>
        (await this.#scene.events()).find((one) => one.startsWith(`${reason}: `) && one.includes(text)),
      { deadlineMs: WITHIN_MS, everyMs: 300, show: () => this.#scene.events() },
    )
  }

  /** One of the operator's figures; 0 where it has none with these labels. */
  async figure(name: string, labels: Readonly<Record<string, string>>): Promise<number> {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
    const lines = (await this.#scene.operatorMetrics()).split('\n')
    const line = lines.find((one) => one.startsWith(`${name}{`) && wanted.every((each) => one.includes(each)))
    return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(' ')))
  }

  #take(type: string, { metadata, status }: L2CaptureResource): void {
    if (type === 'BOOKMARK') {
      this.#opened = true
      return
    }
    if (type === 'DELETED' || status === undefined) return
    const name = metadata.name ?? ''
    this.#statuses.set(name, [...(this.#statuses.get(name) ?? []), status])
  }
}

/** `Halted=True CrossedBook`; empty where the status has no such condition. */
export function conditionText(status: CaptureStatus, type: string): string {
  const condition = status.conditions?.find((one) => one.type === type)
  return condition === undefined ? '' : `${type}=${condition.status} ${condition.reason}`
}

export function attentionOf(status: CaptureStatus, symbol: string): Attention | undefined {
  return status.attention?.find((entry) => entry.symbol === symbol)
}
