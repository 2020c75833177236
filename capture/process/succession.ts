/** What a capture knows of the pod before it, and of what was published before: opened with the spool. */
import { readFile } from 'node:fs/promises'
import type { ProcessConfig } from '../../api/config.ts'
import { type Bucket, formatTimeUs, type Spool, systemCode } from '../ship/mod.ts'
import { replaceFile } from './durable-file.ts'
import { Handover } from './handover.ts'
import { Lineage } from './lineage.ts'
import { wait } from './wait.ts'

export interface SuccessionLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** For `/status`: null where nobody is waited for. */
export interface HandoverStatus {
  readonly predecessor: { readonly pod: string; readonly uid: string }
  readonly waitingFor: string
  /** RFC 3339. */
  readonly since: string
}

export class Succession {
  readonly lineage: Lineage
  readonly #handover: Handover | undefined
  readonly #predecessor: HandoverStatus['predecessor'] | undefined

  private constructor(
    lineage: Lineage,
    handover: Handover | undefined,
    predecessor: HandoverStatus['predecessor'] | undefined,
  ) {
    this.lineage = lineage
    this.#handover = handover
    this.#predecessor = predecessor
  }

  /** Throws the system's errors. */
  static async open(
    { predecessor: told, exchange, symbol, handoverSeconds }: ProcessConfig,
    spool: Spool,
    bucket: Bucket,
    log: SuccessionLog,
  ): Promise<Succession> {
    // what manifests name it by
    const predecessor = told && { pod: told.pod, uid: told.uid }
    const handover =
      told &&
      new Handover({
        bucket,
        market: { prefix: '', exchange, symbol },
        predecessor: told,
        quietMsMax: handoverSeconds * 1000,
        nowMs: Date.now,
        monotonicMs: () => performance.now(),
        wait,
        log,
      })
    const lineage = await Lineage.open({
      read: () => textIfThere(spool.paths.lineage),
      write: (text) => replaceFile(spool.paths.lineage, text),
      runs: async () => new Set((await spool.listWindows()).map(({ run }) => run)),
      predecessor,
      settle: () => handover?.settle() ?? Promise.reject(new Error('nobody is succeeded')),
      log,
    })
    return new Succession(lineage, handover, predecessor)
  }

  /** How long the predecessor was waited for, or is, seconds; undefined where there is none. */
  get seconds(): number | undefined {
    return this.lineage.handoverSeconds ?? this.#handover?.seconds
  }

  get status(): HandoverStatus | null {
    if (this.#handover === undefined || this.#predecessor === undefined || !this.lineage.isWaiting)
      return null
    const { waitingFor, sinceWallMs } = this.#handover
    const since = formatTimeUs(Math.floor((sinceWallMs ?? Date.now()) * 1000))
    return { predecessor: this.#predecessor, waitingFor, since }
  }
}

async function textIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
