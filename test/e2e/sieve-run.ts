/** Sieve's way: one life of a capture again and again, each time with another disturbance, and always the same end. */
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import type { TestContext } from '../cluster/mod.ts'
import { waitFor } from '../support/wait.ts'
import { bySymbol, endState, podWrites, shapes } from './census.ts'
import type { OperatorProcess } from './operator-process.ts'
import { LIFE, openStage, play, type Stage, startOperator } from './stage.ts'

/** What a life without disturbance comes to. */
export interface Reference {
  /** Of the operator. */
  readonly writes: number
  readonly pods: Record<string, number>
  readonly end: object
}

export type Disturbance =
  /** The operator dies right after this write of its, before it knows the answer; another one starts at once. */
  | { readonly kind: 'killed'; readonly after: number }
  /** It dies there as well, and the next one starts on a server that is behind: as it was before the write. */
  | { readonly kind: 'stale'; readonly after: number }
  /** Watches tell nothing of the world's next changes, from this write on, so many events long. */
  | { readonly kind: 'hidden'; readonly after: number; readonly events: number }

/** So long lists are not read anew where events are hidden. */
const RELIST = ['--relist-seconds', '2']

export async function reference(context: TestContext): Promise<Reference> {
  const stage = await openStage(context)
  await startOperator(stage).leads()
  for (const step of LIFE) await play(stage, step)
  return {
    writes: stage.proxy.writes.length,
    pods: bySymbol(podWrites(stage.proxy)),
    end: shapes(await endState(stage)),
  }
}

export interface Told {
  /** Whether the disturbance came to pass: a life may have fewer writes than the reference. */
  readonly disturbed: boolean
  readonly seconds: number
}

/** One life with the disturbance. Throws where its end, or what it wrote on its way, is another one. */
export async function disturbed(context: TestContext, expected: Reference, by: Disturbance): Promise<Told> {
  const startedMs = performance.now()
  const stage = await openStage(context)
  const disturber = new Disturber(stage, by)
  await disturber.start()
  for (const step of LIFE) await play(stage, { ...step, name: `${step.name} (${nameOf(by)})` })
  await disturber.done()
  const [pods, end] = [bySymbol(podWrites(stage.proxy)), shapes(await endState(stage))]
  const same = isDeepStrictEqual(pods, expected.pods) && isDeepStrictEqual(end, expected.end)
  if (!same) process.stderr.write(`${nameOf(by)}:\n${history(stage)}\n`)
  assert.deepEqual(pods, expected.pods, `pods created and deleted: ${nameOf(by)}`)
  assert.deepEqual(end, expected.end, `the end: ${nameOf(by)}`)
  return { disturbed: disturber.struck, seconds: (performance.now() - startedMs) / 1000 }
}

export function nameOf(by: Disturbance): string {
  if (by.kind === 'hidden') return `${by.events} events hidden after write ${by.after}`
  return `killed after write ${by.after}${by.kind === 'stale' ? ', started on a stale view' : ''}`
}

class Disturber {
  struck = false
  readonly #stage: Stage
  readonly #by: Disturbance
  #operator: OperatorProcess | undefined
  #next: Promise<void> = Promise.resolve()
  #over = false

  constructor(stage: Stage, by: Disturbance) {
    this.#stage = stage
    this.#by = by
  }

  async start(): Promise<void> {
    const { proxy } = this.#stage
    let version = await proxy.currentVersion()
    proxy.onWrite.before = async ({ number }) => {
      // the world as it was when this write was decided
      if (this.#by.kind === 'stale' && number === this.#by.after) version = await proxy.currentVersion()
      return undefined
    }
    proxy.onWrite.after = async ({ number }) => {
      if (this.#over || this.struck || number !== this.#by.after) return undefined
      this.struck = true
      if (this.#by.kind === 'hidden') {
        proxy.tamper({ times: this.#by.events, do: 'drop' })
        return undefined
      }
      // whoever waits for the next one from here on waits for its start as well
      const killed = this.#operator?.kill()
      this.#next = Promise.resolve(killed).then(() => this.#restart(version))
      // a life that fails meanwhile has told why, and takes the server with it
      this.#next.catch(() => undefined)
      await killed
      return 'cut'
    }
    this.#operator = startOperator(this.#stage, this.#by.kind === 'hidden' ? RELIST : [])
    await this.#operator.leads()
  }

  /** The one that was started last still runs: nothing but the test has ended any. No later write is disturbed. */
  async done(): Promise<void> {
    this.#over = true
    await this.#next
    assert.equal(this.#operator?.hasEnded, false)
  }

  async #restart(version: string): Promise<void> {
    const { scene, proxy } = this.#stage
    // whoever held it is dead for certain, so nobody needs to wait for it to run out
    await scene.cluster.api.delete(
      `/apis/coordination.k8s.io/v1/namespaces/${scene.namespace}/leases/l2cap-operator`,
    )
    if (this.#by.kind === 'killed') {
      this.#operator = startOperator(this.#stage)
      return await this.#operator.leads()
    }
    const view = await proxy.staleView({ when: { verbs: ['list', 'watch'] }, version })
    this.#operator = startOperator(this.#stage)
    await this.#operator.leads()
    await waitFor('a look at the stale world', async () => ((await this.#operator?.looks()) ?? 0) > 0, {
      deadlineMs: 180_000,
    })
    view.remove()
  }
}

/** What was written, for a failure. */
function history({ proxy, scene }: Stage): string {
  const writes = proxy.writes.map(
    ({ number, request: { verb, resource, name }, status }) =>
      `${number} ${verb} ${resource} ${name} ${status}`,
  )
  return [...writes, ...scene.operators.map(({ output }) => output.slice(-6000))].join('\n')
}
