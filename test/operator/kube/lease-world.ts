import {
  ApiError,
  type ApiErrorCode,
  Elector,
  type ElectorEnd,
  type LeaseApi,
  type LeaseRecord,
  type StoredLease,
  type System,
} from '../../../operator/kube/mod.ts'
import { type Due, DueHeap } from '../../support/due-heap.ts'
import { settle } from './virtual.ts'

/** What goes wrong between a process and the API server. Times in milliseconds. */
export interface Network {
  /** A request and its answer each take up to this. */
  readonly delayMsMax: number
  /** Of 1: requests that never arrive, and answers that never do. */
  readonly loss: number
}

export interface Pause {
  readonly who: number
  readonly atMs: number
  readonly forMs: number
  /** SIGSTOP leaves the monotonic clock going; a machine that sleeps stops it. */
  readonly kind: 'stopped' | 'asleep'
}

interface Step extends Due {
  readonly run: () => void
}

/** One process: it has clocks of its own, and while it is paused nothing reaches it. */
export class Member {
  readonly elector: Elector
  readonly system: System
  readonly stop = new AbortController()
  ended: ElectorEnd | undefined
  pausedUntilMs = 0
  sleptMs = 0
  wallOffsetMs: number

  constructor(world: LeaseWorld, identity: string, bornMs: number) {
    this.wallOffsetMs = bornMs
    const monotonicMs = () => world.nowMs + bornMs - this.sleptMs
    this.system = {
      clock: {
        wallMs: () => world.nowMs + this.wallOffsetMs,
        monotonicMs,
        bootMs: () => world.nowMs + bornMs,
      },
      timers: { after: (ms, fn) => world.timer(this, monotonicMs() + ms, fn) },
      random: world.random,
    }
    this.elector = new Elector({ leases: world.leases(this), identity, system: this.system })
  }

  get paused(): boolean {
    return this.pausedUntilMs > 0
  }
}

/** Two or more electors, one API server, and a network in between, in virtual time. */
export class LeaseWorld {
  nowMs = 0
  readonly random: () => number
  readonly members: Member[] = []
  network: Network
  /** Moments at which more than one might have written. */
  readonly violations: string[] = []
  stored: StoredLease | undefined
  readonly #heap = new DueHeap<Step>()
  #order = 0
  #version = 0

  constructor(random: () => number, network: Network) {
    this.random = random
    this.network = network
  }

  /** A process that starts at this moment; its clocks show `bornMs` more than the world's. */
  join(identity: string, bornMs: number): Member {
    const member = new Member(this, identity, bornMs)
    this.members.push(member)
    void member.elector.run(member.stop.signal).then((end) => {
      member.ended = end
    })
    return member
  }

  at(dueMs: number, run: () => void): void {
    this.#heap.push({ due: Math.max(this.nowMs, dueMs), order: this.#order++, run })
  }

  pause(member: Member, forMs: number, kind: Pause['kind']): void {
    if (member.paused) return
    member.pausedUntilMs = this.nowMs + forMs
    this.at(member.pausedUntilMs, () => {
      if (kind === 'asleep') member.sleptMs += forMs
      member.pausedUntilMs = 0
    })
  }

  async run(untilMs: number): Promise<void> {
    await settle()
    for (let next = this.#heap.next; next !== undefined && next.due <= untilMs; next = this.#heap.next) {
      this.#heap.pop()
      this.nowMs = next.due
      next.run()
      await settle()
      this.#judge()
    }
    this.nowMs = untilMs
  }

  /** A timer on the member's own clock, which may stand still; it fires when nothing holds the member. */
  timer(member: Member, dueMs: number, fn: () => void): () => void {
    let cancelled = false
    const fire = () => {
      if (cancelled) return
      const earlyMs = dueMs - member.system.clock.monotonicMs()
      if (member.paused) this.at(member.pausedUntilMs, fire)
      else if (earlyMs > 0) this.at(this.nowMs + earlyMs, fire)
      else fn()
    }
    this.at(this.nowMs + Math.max(0, dueMs - member.system.clock.monotonicMs()), fire)
    return () => {
      cancelled = true
    }
  }

  leases(member: Member): LeaseApi {
    return {
      read: (deadlineMs) => this.#call(member, deadlineMs, () => this.stored),
      create: (record, deadlineMs) =>
        this.#call(member, deadlineMs, () => {
          if (this.stored !== undefined) throw refusal('AlreadyExists')
          return this.#store(record)
        }),
      replace: (record, version, deadlineMs) =>
        this.#call(member, deadlineMs, () => {
          if (this.stored === undefined) throw refusal('NotFound')
          if (this.stored.version !== version) throw refusal('Conflict')
          return this.#store(record)
        }),
    }
  }

  #store(record: LeaseRecord): StoredLease {
    this.#version += 1
    this.stored = { record, version: String(this.#version) }
    return this.stored
  }

  /** There, done at once, and back: each way takes its time, or is lost. What is on its way arrives even where its caller gave up. */
  #call<T>(member: Member, deadlineMs: number, work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.timer(member, member.system.clock.monotonicMs() + deadlineMs, () => reject(refusal('Timeout')))
      if (this.random() < this.network.loss) return
      this.at(this.nowMs + this.random() * this.network.delayMsMax, () => {
        const answer = attempt(work)
        if (this.random() < this.network.loss) return
        this.#deliver(member, this.nowMs + this.random() * this.network.delayMsMax, () => {
          if ('error' in answer) reject(answer.error)
          else resolve(answer.value)
        })
      })
    })
  }

  #deliver(member: Member, dueMs: number, fn: () => void): void {
    this.at(dueMs, () => {
      if (member.paused) this.#deliver(member, member.pausedUntilMs, fn)
      else fn()
    })
  }

  /** Who is paused writes nothing; the others ask `mayWrite` at the instant of their write. */
  #judge(): void {
    const writers = this.members.filter((member) => !member.paused && member.elector.mayWrite())
    if (writers.length > 1) this.violations.push(`${writers.length} at ${Math.round(this.nowMs)} ms`)
  }
}

function refusal(code: ApiErrorCode): ApiError {
  return new ApiError({ code, message: code })
}

function attempt<T>(work: () => T): { readonly value: T } | { readonly error: unknown } {
  try {
    return { value: work() }
  } catch (error) {
    return { error }
  }
}
