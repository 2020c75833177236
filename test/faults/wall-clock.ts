/** The wall clock of a process under test, in a test's hand. */
import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { problemOf } from './machine.ts'

const SOURCE = join(import.meta.dirname, 'clock.c')

/** The environment of a process whose wall clock is off by what `step` says. */
export interface WallClock {
  readonly env: Readonly<Record<string, string>>
  /** The clock is off by so much from now on, ms. */
  set(offsetMs: number): void
}

/** Builds what is preloaded, into `dir`. Returns why that is not possible, or nothing. */
export function buildWallClock(dir: string): string {
  const args = ['-shared', '-fPIC', '-O2', '-Wall', '-Werror', '-o', join(dir, 'clock.so'), SOURCE]
  const problem = problemOf(spawnSync('gcc', args))
  if (problem !== '') return problem
  // where the loader takes no preloads, the year says so
  const { env, set } = wallClock(dir, dir)
  set(YEAR_MS)
  const asked = spawnSync(process.execPath, ['-p', 'Date.now()'], { env: { ...process.env, ...env } })
  const movedMs = Number(String(asked.stdout)) - Date.now()
  set(0)
  return Math.abs(movedMs - YEAR_MS) < 60_000 ? '' : 'the preloaded clock is not asked'
}

const YEAR_MS = 365 * 86_400_000

/** A clock of its own, kept in `dir`; it begins true. `built`: where `buildWallClock` built it. */
export function wallClock(dir: string, built: string): WallClock {
  const path = join(dir, 'clock-offset')
  const set = (offsetMs: number) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(offsetMs))
    // in place: the process holds the file mapped
    writeFileSync(path, bytes, { flag: existsSync(path) ? 'r+' : 'w' })
  }
  set(0)
  return { env: { LD_PRELOAD: join(built, 'clock.so'), FAULT_CLOCK: path }, set }
}
