/**
 * `npm run test:mutations`: breaks the program on purpose, one guard at a time, and requires that the one test named
 * for it fails. A suite that stays green while a guard is gone does not hold that guard.
 *
 * First it proves that it can fail itself: a mutation that changes nothing must be told as survived. Names may be
 * given to run those mutations alone.
 */
import { availableParallelism } from 'node:os'
import { Copy } from './mutant.ts'
import { MUTATIONS, type Mutation } from './mutations.ts'

/** Mutations of one test file, whose tests are run once as they are. */
type Batch = readonly Mutation[]

/** None of these hangs: a machine that stands still must not look as if one did. */
const SELF_CHECK_MS = 60_000

/** Mutations that are none, with what must be said of them. */
function selfChecks(): readonly (readonly [string, Mutation])[] {
  const [some] = MUTATIONS
  return [
    ['SURVIVED', { ...some, replace: some.find }],
    ['OUT OF DATE', { ...some, find: `${some.find}, which nobody wrote` }],
    ['BROKEN', { ...some, replace: '}}} no program' }],
  ]
}

/** Throws where the runner would not notice that a guard is not held. */
async function checkSelf(): Promise<void> {
  const copy = Copy.make()
  try {
    for (const [word, mutation] of selfChecks()) {
      const fault = await copy.judge(mutation, SELF_CHECK_MS)
      if (!fault.startsWith(word)) {
        throw new Error(`this runner is blind: it said "${fault}" where ${word} was due`)
      }
    }
    process.stdout.write('✔ the runner tells what survives, what is out of date and what is broken\n')
  } finally {
    copy.remove()
  }
}

function batchesOf(mutations: readonly Mutation[]): Batch[] {
  return Object.values(Object.groupBy(mutations, ({ test }) => test.file)).filter(
    (batch) => batch !== undefined,
  )
}

/** One worker: takes batches from the list until it is empty. */
async function work(waiting: Batch[], report: (name: string, fault: string, seconds: number) => void) {
  const copy = Copy.make()
  try {
    for (let batch = waiting.shift(); batch !== undefined; batch = waiting.shift()) {
      const names = [...new Set(batch.map(({ test }) => test.name))]
      const { faults, ms } = await copy.baseline(batch[0].test.file, names)
      for (const mutation of batch) {
        const started = performance.now()
        const fault = faults.get(mutation.test.name) || (await copy.judge(mutation, ms))
        report(mutation.name, fault, (performance.now() - started) / 1000)
      }
    }
  } finally {
    copy.remove()
  }
}

async function main(names: readonly string[]): Promise<number> {
  const known = MUTATIONS.map(({ name }) => name)
  const unknown = names.filter((name) => !known.includes(name))
  if (unknown.length > 0) {
    const list = known.map((name) => `  ${name}\n`).join('')
    process.stderr.write(`no such mutation: ${unknown.join(', ')}; there are:\n${list}`)
    return 2
  }
  const twice = known.filter((name, i) => known.indexOf(name) !== i)
  if (twice.length > 0) throw new Error(`two mutations have one name: ${twice.join(', ')}`)
  await checkSelf()
  const wanted = MUTATIONS.filter(({ name }) => names.length === 0 || names.includes(name))
  const waiting = batchesOf(wanted)
  let survived = 0
  const report = (name: string, fault: string, seconds: number) => {
    if (fault !== '') survived++
    const mark = fault === '' ? '✔' : '✖'
    process.stdout.write(`${mark} ${name} (${seconds.toFixed(1)} s)${fault === '' ? '' : `: ${fault}`}\n`)
  }
  await Promise.all(Array.from({ length: availableParallelism() }, () => work(waiting, report)))
  process.stdout.write(`\n${wanted.length - survived} of ${wanted.length} mutations were caught\n`)
  return survived === 0 ? 0 : 1
}

// an interrupted run takes its tests and copies with it
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

process.exitCode = await main(process.argv.slice(2))
