import type { V1Pod } from '@kubernetes/client-node'
import { type Dispatcher, request } from 'undici'
import { ANNOTATIONS, HTTP_PORT } from '../api/labels.ts'
import { type ProcessStatus, parseProcessStatus } from '../api/process-status.ts'

/** A pod that does not answer within this is told as one that does not answer. */
const DEADLINE_MS = 3000
const BODY_BYTES_MAX = 1 << 20
const AT_ONCE = 16

/** What a pod said of itself last, or why it said nothing. `at`: milliseconds since the epoch. */
export type Polled =
  | { readonly at: number; readonly status: ProcessStatus }
  | { readonly at: number; readonly error: string }

export interface PollerOptions {
  readonly pods: () => readonly V1Pod[]
  readonly everyMs: number
  readonly now: () => number
  /** What a pod said differs from what it said before in something that conditions show. */
  readonly onChange: (pod: V1Pod) => void
  readonly dispatcher?: Dispatcher | undefined
  /** Where a pod answers; tests without pods' addresses give another. */
  readonly addressOf?: ((pod: V1Pod) => string | undefined) | undefined
}

/**
 * Asks running pods for /status, for conditions only: no destructive action rests on what they say. A round takes
 * `everyMs`, over which the pods are spread; one that does not answer costs the others nothing.
 */
export class StatusPoller {
  readonly statuses = new Map<string, Polled>()
  /** Answers and failures so far. */
  readonly counts = { answered: 0, failed: 0 }
  readonly #options: PollerOptions
  readonly #busy = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #queue: V1Pod[] = []

  constructor(options: PollerOptions) {
    this.#options = options
  }

  start(): void {
    if (this.#timer === undefined) this.#round()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#queue = []
  }

  /** Takes all pods, and asks them one by one in the course of a round. */
  #round(): void {
    const pods = this.#options.pods()
    const uids = new Set(pods.map((pod) => pod.metadata?.uid ?? ''))
    for (const uid of this.statuses.keys()) if (!uids.has(uid)) this.statuses.delete(uid)
    this.#queue = pods.filter((pod) => this.#address(pod) !== undefined)
    this.#next(this.#options.everyMs / Math.max(1, this.#queue.length))
  }

  #next(stepMs: number): void {
    // where all askers wait, whose turn it is keeps it
    const pod = this.#busy.size < AT_ONCE ? this.#queue.shift() : undefined
    if (pod !== undefined) void this.#ask(pod)
    this.#timer = setTimeout(() => (this.#queue.length === 0 ? this.#round() : this.#next(stepMs)), stepMs)
    this.#timer.unref()
  }

  async #ask(pod: V1Pod): Promise<void> {
    const uid = pod.metadata?.uid ?? ''
    const address = this.#address(pod)
    if (address === undefined || this.#busy.has(uid)) return
    this.#busy.add(uid)
    const before = this.statuses.get(uid)
    const polled = await this.#fetch(pod, `${address}/status`)
    this.#busy.delete(uid)
    this.counts['error' in polled ? 'failed' : 'answered']++
    this.statuses.set(uid, polled)
    if (wordOf(before) !== wordOf(polled)) this.#options.onChange(pod)
  }

  async #fetch(pod: V1Pod, address: string): Promise<Polled> {
    const at = this.#options.now()
    try {
      const { dispatcher } = this.#options
      const { statusCode, body } = await request(address, {
        signal: AbortSignal.timeout(DEADLINE_MS),
        ...(dispatcher === undefined ? {} : { dispatcher }),
      })
      const text = await bounded(body)
      if (statusCode !== 200) return { at, error: `answered ${statusCode}` }
      const status = parseProcessStatus(text)
      return isOf(pod, status) ? { at, status } : { at, error: 'answered for another pod' }
    } catch (error) {
      return { at, error: error instanceof Error ? error.message : String(error) }
    }
  }

  #address(pod: V1Pod): string | undefined {
    if (this.#options.addressOf !== undefined) return this.#options.addressOf(pod)
    const ip = pod.status?.podIP
    const running = pod.status?.containerStatuses?.some(({ state }) => state?.running !== undefined)
    if (ip === undefined || ip === '' || running !== true) return undefined
    return `http://${ip.includes(':') ? `[${ip}]` : ip}:${HTTP_PORT}`
  }
}

/** An address that a pod leaves soon comes to another one. What an older version does not say is not compared. */
function isOf({ metadata }: V1Pod, { symbol, writer }: ProcessStatus): boolean {
  const compared = [
    [writer.pod, metadata?.name],
    [writer.podUid, metadata?.uid],
    [symbol, metadata?.annotations?.[ANNOTATIONS.symbol]],
  ]
  return compared.every(([told, asked]) => told === '' || told === asked)
}

async function bounded(body: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of body) {
    bytes += part.length
    if (bytes > BODY_BYTES_MAX) throw new Error(`the answer is longer than ${BODY_BYTES_MAX} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}

/** What of an answer conditions show: where it changes, the capture is looked at again. */
function wordOf(polled: Polled | undefined): string {
  if (polled === undefined) return ''
  if ('error' in polled) return `error ${polled.error}`
  const { state, reason, ship } = polled.status
  return [state, reason, ship.state, ship.reason].join(' ')
}
