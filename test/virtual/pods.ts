/** A world in which pods follow each other over one exchange and one bucket: who starts and ends when is its script. */
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import type { FeedLog } from '../../capture/feed/mod.ts'
import { Random } from '../sim/market/mod.ts'
import { VirtualCapture } from './capture.ts'
import type { Violation } from './chain.ts'
import type { Plan } from './plan.ts'
import { type Publication, VirtualPod } from './pod.ts'
import type { Handing, PodsPlan } from './pods-plan.ts'
import { VirtualStore } from './store.ts'
import { Machine } from './time.ts'
import { begin, calm, type Outcome, type World, watchPauses } from './world.ts'

const LOOK_MS = 500
/** A successor that is not live by then is removed. */
const LIVE_WITHIN_MS = 60_000
/** All that the last pods may need to publish what they have, beside their predecessors' time. */
const ENDS_WITHIN_MS = 300_000
/** How long a store is away for a pod that is cut off from it, beyond what a successor waits. */
const CUT_OFF_MS = 30_000

/** What became of it, besides what became of each journal. */
export interface PodsOutcome {
  readonly pods: readonly VirtualPod[]
  /** In the order of commits. */
  readonly publications: readonly Publication[]
  /** One outcome a pod, for the oracle of journals. */
  readonly journals: readonly Outcome[]
  readonly violations: readonly Violation[]
  /** How pods ended, for the tally. */
  readonly handed: readonly string[]
}

class Pods {
  readonly pods: VirtualPod[] = []
  readonly publications: Publication[] = []
  readonly violations: Violation[] = []
  readonly handed: string[] = []
  readonly store = new VirtualStore()
  readonly #world: World
  readonly #plan: PodsPlan
  readonly #scratch: string

  constructor(world: World, plan: PodsPlan, scratch: string) {
    this.#world = world
    this.#plan = plan
    this.#scratch = scratch
    this.add(world.capture, world.machine, undefined)
    for (const { atMs, durationMs } of plan.outages) {
      world.time.after(atMs, () => this.store.away.add('*'))
      world.time.after(atMs + durationMs, () => this.store.away.delete('*'))
    }
  }

  add(capture: VirtualCapture, machine: Machine, predecessor: string | undefined): VirtualPod {
    const name = `pod-${this.pods.length}`
    const { plan, exchange } = this.#world
    const pod = new VirtualPod({
      ...{ name, predecessor, capture, machine, exchange },
      handoverMs: this.#plan.handoverMs,
      store: this.store,
      random: new Random(plan.seed, `${name}/publisher`),
      scratch: this.#scratch,
      publications: this.publications,
      tell: (rule, evidence) => this.violations.push({ rule, evidence: `${name}: ${evidence}` }),
    })
    this.pods.push(pod)
    return pod
  }

  /** Carries out the script; resolves with the pod that is left. */
  async run(): Promise<VirtualPod> {
    let [old] = this.pods
    if (old === undefined) throw new Error('there is no first pod')
    for (const handing of this.#plan.handings) {
      await this.#until(handing.atMs)
      if (old.isOver || old.capture.isTerminal) break
      old = (await this.#hand(old, handing)) ?? old
    }
    return old
  }

  async #hand(old: VirtualPod, handing: Handing): Promise<VirtualPod | undefined> {
    const next = this.#successor(old)
    const { time } = this.#world
    for (const { afterMs, who } of handing.kills) {
      time.after(afterMs, () => (who === 'old' ? old : next).kill())
    }
    next.capture.start()
    if (handing.how === 'lost') this.#lose(old, handing)
    if (!(await this.#isLive(next)) || handing.how === 'discarded') {
      // nobody else is there: then it stays, live or not
      if (handing.how === 'lost' || old.state !== 'up') return next
      next.discard()
      this.handed.push('discarded')
      return undefined
    }
    this.handed.push(handing.how)
    if (handing.how === 'cut_off') {
      this.store.away.add(old.name)
      time.after(this.#plan.handoverMs + CUT_OFF_MS, () => this.store.away.delete(old.name))
    }
    if (handing.how === 'drained') {
      old.kill()
      void old.annotate()
    } else if (handing.how !== 'lost') void old.signal(handing.handoffMs)
    return next
  }

  #lose(old: VirtualPod, { backAfterMs }: Handing): void {
    old.lose()
    if (backAfterMs === undefined) return
    this.#world.time.after(backAfterMs, () => {
      old.comeBack()
      this.#world.time.after(3_000, () => void old.annotate())
    })
  }

  #successor(old: VirtualPod): VirtualPod {
    const { plan, exchange, sim, time } = this.#world
    const name = `pod-${this.pods.length}`
    const random = new Random(plan.seed, `${name}/machine`)
    const machine = new Machine(time, Math.round((random.next() - 0.5) * 120))
    const capture = new VirtualCapture({
      ...{ seed: plan.seed, name, pod: name, machine, wire: sim, exchange },
      address: `10.0.0.${this.pods.length + 1}`,
      latency: plan.latency,
      config: plan.config,
      rotationSeconds: plan.rotationSeconds,
      share: plan.share,
    })
    return this.add(capture, machine, old.name)
  }

  async #isLive(pod: VirtualPod): Promise<boolean> {
    const { time, plan } = this.#world
    const deadline = time.elapsedMs + LIVE_WITHIN_MS
    const hasBook = plan.config.streams.some((stream) => stream === 'books' || stream === 'depth')
    const isWell = () => {
      const session = pod.capture.process === undefined ? undefined : pod.capture.keeper?.session
      if (session === undefined) return false
      if (hasBook) return session.book.state === 'live'
      return plan.config.streams.every((stream) => session.streamState(stream) === 'flowing')
    }
    while (!isWell()) {
      if (time.elapsedMs > deadline || pod.isOver || pod.capture.isTerminal) return false
      await this.#until(time.elapsedMs + LOOK_MS)
    }
    return true
  }

  #until(elapsedMs: number): Promise<void> {
    const { time } = this.#world
    return new Promise((done) => {
      time.after(Math.max(0, elapsedMs - time.elapsedMs), () => {
        time.unsettled()
        done()
      })
    })
  }
}

/** Lives through a plan with pods, to the end of the last one. */
export async function livePods(
  plan: Plan,
  podsPlan: PodsPlan,
  dir: string,
  log?: FeedLog,
): Promise<PodsOutcome> {
  const scratch = await mkdtemp(join(dir, 'pods-'))
  let made: Pods | undefined
  const world = begin(plan, log, undefined, (each) => {
    made = new Pods(each, podsPlan, scratch)
  })
  if (made === undefined) throw new Error('the world did not begin')
  const pods: Pods = made
  const { time, sim } = world
  const paused = watchPauses(time, world.capture)
  let last: VirtualPod | undefined
  const script = pods.run().then((left) => {
    last = left
  })
  await time.runUntil(plan.troubleMs)
  rightClocks(world)
  if (!(await time.runUntilKept(script, LIVE_WITHIN_MS * (podsPlan.handings.length + 1) * 2)))
    throw new Error('the script of pods does not end')
  if (last === undefined) throw new Error('no pod is left')
  // the script may take long: the time to become live begins at its end
  const fired = [...world.fired, { kind: 'pods', elapsedMs: time.elapsedMs }]
  const live = await calm({ ...world, capture: last.capture, fired })
  await endAll(pods, last, world)
  sim.stop()
  const journals = pods.pods.map((pod) => ({
    ...{ plan, exchange: world.exchange, sim, capture: pod.capture, fired: world.fired, paused },
    live: pod === last ? live : true,
    elapsedMs: time.elapsedMs,
  }))
  const { violations, handed, publications } = pods
  return { pods: pods.pods, publications, journals, violations, handed }
}

/** As in a world of one capture: from the end of the trouble on the first machine's clock is right. */
function rightClocks({ plan, machine, sim }: World): void {
  if (machine.wallOffsetMs !== plan.wallOffsetMs || Math.abs(plan.wallOffsetMs) > 100) {
    machine.step(-machine.wallOffsetMs)
  }
  if (plan.faults.some(({ kind }) => kind === 'skew')) sim.inject('skew:BTCUSDT=0@0')
}

/** The store is there, and everybody goes. */
async function endAll(pods: Pods, last: VirtualPod, { time }: World): Promise<void> {
  pods.store.away.clear()
  await time.runUntilKept(last.annotate(), 20_000)
  const deadline = time.elapsedMs + ENDS_WITHIN_MS
  while (pods.pods.some((pod) => !pod.isOver) && time.elapsedMs < deadline) {
    await time.runUntil(time.elapsedMs + LOOK_MS)
  }
  for (const pod of pods.pods) {
    if (pod.isOver) continue
    pods.violations.push({ rule: 'never_drained', evidence: `${pod.name} is ${pod.state}` })
    pod.lose()
  }
}
