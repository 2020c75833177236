/** A disk of its own for one life at a time, which can lose its power. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { losePower, type Mounted, mountAgain, mountFile, mountProblem, problemOf } from '../faults/machine.ts'
import { Place } from './world.ts'

const BYTES = 24 * 1024 * 1024
/** The file system writes nothing by itself while a life lasts: what was not synced is lost. */
const UNHURRIED = 'commit=600'

/** Why no disk can lose its power here; empty where one can. */
export function diskProblem(): string {
  return mountProblem((dir) => {
    const mounted = mountFile(dir, `${dir}.image`, BYTES)
    losePower(dir)
    return mounted
  })
}

export class Disk {
  readonly place: Place
  readonly #dir: string
  readonly #image: string
  #mounted: Mounted

  /** Makes an empty disk, mounted below a directory; `from` is what it holds, durably. */
  static async make(dir: string, from?: Place): Promise<Disk> {
    mkdirSync(dir, { recursive: true })
    const disk = new Disk(dir)
    if (from === undefined) return disk
    try {
      await disk.place.copy(from)
      const problem = problemOf(spawnSync('sync', ['-f', disk.#dir]))
      if (problem !== '') throw new Error(`sync -f ${disk.#dir}: ${problem}`)
    } catch (error) {
      disk.remove()
      throw error
    }
    return disk
  }

  private constructor(dir: string) {
    this.#dir = join(dir, 'disk')
    this.#image = join(dir, 'image')
    this.#mounted = mountFile(this.#dir, this.#image, BYTES)
    this.#mounted.remount(UNHURRIED)
    this.place = new Place(join(this.#dir, 'place'))
  }

  /** The power goes and comes back. The process that used it is gone by then. */
  losePower(): void {
    losePower(this.#dir)
    this.#mounted.unmount()
    this.#mounted = mountAgain(this.#dir, this.#image)
  }

  /** What the place holds now, in another one; a place that is gone is an empty one. */
  async copyTo(place: Place): Promise<void> {
    mkdirSync(this.place.dir, { recursive: true })
    await cp(this.place.dir, place.dir, { recursive: true })
  }

  remove(): void {
    this.#mounted.unmount()
    rmSync(this.#image)
  }
}
