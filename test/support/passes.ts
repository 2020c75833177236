/**
 * Runs test files through node:test, each in a process of its own. A machine that others use too stalls now and then, and
 * a test of real processes, sockets and disks may lose a race for it: so what failed is run once more, alone. What
 * passes then is named as unsteady in the report, with its first failure above it: it is a defect, of the test or of
 * what it tests, that somebody has to look at. What fails again has failed.
 */
import { relative } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

/** More than this many files at once is no bad luck: nothing is run again. */
const UNSTEADY_MAX = 3

/** A test that was skipped. */
export interface Skipped {
  readonly name: string
  readonly why: string
}

/** What came of a run. */
export interface Outcome {
  readonly passed: boolean
  /** Each once, whichever run it was. */
  readonly skipped: readonly Skipped[]
}

interface Pass {
  readonly failed: Set<string>
  readonly skipped: Map<string, Skipped>
  /** Something failed that belongs to no file. */
  readonly broken: boolean
}

/** Files that run at once, `atOnce` of them at a time. */
export interface Group {
  readonly files: readonly string[]
  readonly atOnce: number
}

/** One group after another, then once more what failed; the report goes to standard output. */
export async function runGroups(groups: readonly Group[]): Promise<Outcome> {
  const passes: Pass[] = []
  for (const group of groups) passes.push(await passOver(group))
  const failed = passes.flatMap((pass) => [...pass.failed])
  let broken = passes.some((pass) => pass.broken)
  if (!broken && failed.length > 0 && failed.length <= UNSTEADY_MAX) {
    process.stdout.write(`\nonce more, alone: ${namesOf(failed)}\n`)
    const again = await passOver({ files: failed, atOnce: 1 })
    passes.push(again)
    broken = again.broken || again.failed.size > 0
    const unsteady = failed.filter((file) => !again.failed.has(file))
    if (unsteady.length > 0)
      process.stdout.write(`\nUNSTEADY, failed and then passed alone: ${namesOf(unsteady)}\n`)
  } else {
    broken ||= failed.length > 0
  }
  const skipped = new Map(passes.flatMap((pass) => [...pass.skipped]))
  return { passed: !broken, skipped: [...skipped.values()] }
}

async function passOver({ files, atOnce }: Group): Promise<Pass> {
  // a file is good by its own word alone: a process that ends early says nothing
  const failed = new Set(files)
  const skipped = new Map<string, Skipped>()
  let allGood = false
  const stream = run({ files: [...files], concurrency: atOnce })
  // of each file by itself, and of all of them without a file
  stream.on('test:summary', ({ file, success }) => {
    if (file === undefined) allGood = success
    else if (success) failed.delete(file)
  })
  stream.on('test:pass', ({ name, file, skip }) => {
    if (skip === undefined) return
    const why = skip === true ? 'no reason given' : String(skip)
    skipped.set(`${file} ${name}`, { name, why })
  })
  for await (const text of stream.compose(spec)) process.stdout.write(text as string)
  return { failed, skipped, broken: !allGood && failed.size === 0 }
}

function namesOf(files: readonly string[]): string {
  return files.map((file) => relative(process.cwd(), file)).join(', ')
}
