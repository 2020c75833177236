import type { JournalFile, JournalFs } from '../../capture/journal/mod.ts'
import type { KeeperOptions } from '../../capture/process/keeper.ts'
import type { Random } from '../sim/market/mod.ts'
import type { Incarnation } from './time.ts'

/** What a call to the disk takes, milliseconds. */
const WRITE_MS_MAX = 2
const SYNC_MS_MAX = 20
const RESERVE_BYTES = 1024 * 1024

/**
 * `full`: nothing more fits, which shows at the next write. `high`: it is told to be nearly full before that.
 * `slow`: no write returns. `sync_fails`: what is written never gets durable.
 */
export type DiskTrouble = 'none' | 'full' | 'high' | 'slow' | 'sync_fails'

interface Stored {
  bytes: Buffer
  length: number
  synced: number
}

type Call = <T>(ms: number, act: () => T) => Promise<T>

/**
 * The disk of one machine, in memory: it outlives processes. Calls take a little of the world's time; what was
 * written survives a killed process, what was synced survives a loss of power.
 */
export class Disk {
  #trouble: DiskTrouble = 'none'
  /** Room beyond what is written; it only matters on a full disk. */
  #freeBytes = 0
  #reserved = false
  /** Takes everything and keeps nothing: for days in which nobody reads the journal. */
  readonly #keeps: boolean
  /** Writes that wait for a slow disk. */
  #waiting: (() => void)[] = []
  readonly #files = new Map<string, Stored>()
  readonly #random: Random

  constructor(random: Random, keeps = true) {
    this.#random = random
    this.#keeps = keeps
  }

  /** Paths in the order in which they were made. */
  get paths(): readonly string[] {
    return [...this.#files.keys()]
  }

  get trouble(): DiskTrouble {
    return this.#trouble
  }

  set trouble(trouble: DiskTrouble) {
    this.#trouble = trouble
    this.#freeBytes = trouble === 'full' ? this.#random.below(8_000) : 0
    if (trouble === 'slow') return
    for (const write of this.#waiting.splice(0)) write()
  }

  read(path: string): Buffer {
    const file = this.#files.get(path)
    if (file === undefined) throw new Error(`no file ${path} on this disk`)
    return file.bytes.subarray(0, file.length)
  }

  /** The machine lost its power: of what was not synced any part may be there. */
  losePower(): void {
    for (const [path, file] of this.#files) {
      file.length = file.synced + this.#random.below(file.length - file.synced + 1)
      if (file.length === 0) this.#files.delete(path)
    }
  }

  /** The process is gone: what it waited for never comes. */
  forgetWaiting(): void {
    this.#waiting = []
  }

  /** What the keeper asks of the disk. */
  room(process: Incarnation): KeeperOptions['room'] {
    if (!this.#keeps) return ROOMY
    const call = callsOf(process)
    return {
      look: () =>
        call(this.#random.next(), () => ({
          full: this.#trouble === 'high' ? 'the disk is nearly full' : '',
          low: this.#trouble !== 'full' && this.#trouble !== 'high',
        })),
      allocate: () =>
        call(this.#random.next(), () => {
          this.#reserved = this.#trouble !== 'full'
          return this.#reserved
        }),
      release: () =>
        call(this.#random.next(), () => {
          if (!this.#reserved) return false
          this.#reserved = false
          this.#freeBytes += RESERVE_BYTES
          return true
        }),
    }
  }

  /** The file system as one process sees it. */
  fs(process: Incarnation): JournalFs {
    if (!this.#keeps) return NOWHERE
    const call = callsOf(process)
    return {
      create: (path) =>
        call(this.#random.next(), () => {
          if (this.#files.has(path)) throw diskError('EEXIST', path)
          if (this.#trouble === 'full' && this.#freeBytes === 0) throw diskError('ENOSPC', path)
          const file: Stored = { bytes: Buffer.alloc(64 * 1024), length: 0, synced: 0 }
          this.#files.set(path, file)
          return this.#open(file, path, call)
        }),
      syncDir: (path) => call(this.#random.next() * SYNC_MS_MAX, () => this.#failSync(path)),
    }
  }

  #open(file: Stored, path: string, call: Call): JournalFile {
    return {
      write: async (bytes) => {
        // the caller may use its buffer again only after this call: a copy now is what the kernel would take
        const taken = Buffer.from(bytes)
        if (this.#trouble === 'slow') await new Promise<void>((go) => this.#waiting.push(go))
        return call(this.#random.next() * WRITE_MS_MAX, () => this.#take(file, path, taken))
      },
      datasync: () =>
        call(this.#random.next() * SYNC_MS_MAX, () => {
          this.#failSync(path)
          file.synced = file.length
        }),
      truncate: (bytes) =>
        call(this.#random.next(), () => {
          file.length = Math.min(file.length, bytes)
          file.synced = Math.min(file.synced, bytes)
        }),
      close: () => call(this.#random.next(), () => undefined),
    }
  }

  /** A disk that fills up takes a part and says so; the error comes with the next write. */
  #take(file: Stored, path: string, bytes: Buffer): number {
    const room = this.#trouble === 'full' ? Math.min(bytes.length, this.#freeBytes) : bytes.length
    if (room === 0 && bytes.length > 0) throw diskError('ENOSPC', path)
    if (this.#trouble === 'full') this.#freeBytes -= room
    append(file, bytes.subarray(0, room))
    return room
  }

  #failSync(path: string): void {
    if (this.#trouble === 'sync_fails') throw diskError('EIO', path)
  }
}

const ROOMY: KeeperOptions['room'] = {
  look: async () => ({ full: '', low: true }),
  allocate: async () => true,
  release: async () => false,
}

const NOWHERE: JournalFs = {
  create: async () => ({
    write: async (bytes) => bytes.byteLength,
    datasync: async () => undefined,
    truncate: async () => undefined,
    close: async () => undefined,
  }),
  syncDir: async () => undefined,
}

function callsOf(process: Incarnation): Call {
  return (ms, act) =>
    new Promise((resolve, reject) => {
      process.after(ms, () => {
        try {
          resolve(act())
        } catch (error) {
          reject(error)
        }
      })
    })
}

function append(file: Stored, bytes: Buffer): void {
  if (file.length + bytes.length > file.bytes.length) {
    const wider = Buffer.alloc(2 * (file.length + bytes.length))
    file.bytes.copy(wider, 0, 0, file.length)
    file.bytes = wider
  }
  bytes.copy(file.bytes, file.length)
  file.length += bytes.length
}

function diskError(code: 'EEXIST' | 'ENOSPC' | 'EIO', path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code })
}
