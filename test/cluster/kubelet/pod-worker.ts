import type { V1Container, V1Pod } from '@kubernetes/client-node'
import { type KubeletApi, STRATEGIC_MERGE, statusOf } from './api.ts'
import type { Container, Ended, Runtime } from './container.ts'
import { PodPlace, VolumeMissing } from './place.ts'
import { type ContainerView, type PodView, statusOfPod } from './pod-status.ts'
import type { KubeletTimes } from './times.ts'

const API_RETRY_MS = 300
/** Between two looks at a container that is held back. */
const HELD_LOOK_MS = 1000
/** So much of a log stands in for last words. */
const LOG_TAIL_LENGTH = 2048
/** What a node that is out of room gives a container to end in. */
const EVICTION_GRACE_SECONDS = 1
/** The API server's default. */
const POD_GRACE_SECONDS = 30

export interface WorkerOptions {
  readonly api: KubeletApi
  readonly runtime: Runtime
  readonly times: () => KubeletTimes
  readonly root: string
  readonly ip: string
  readonly hostIp: string
  /** A node that is lost posts nothing. */
  readonly online: () => boolean
  readonly onGone: (uid: string) => void
}

/** The life of one pod on a node, from its binding to the removal of the object. */
export class PodWorker {
  readonly uid: string
  readonly #options: WorkerOptions
  readonly #place: PodPlace
  readonly #startTime = new Date().toISOString()
  #pod: V1Pod
  #container: Container | undefined
  #view: ContainerView = {
    state: { kind: 'waiting', reason: 'ContainerCreating' },
    last: undefined,
    restarts: 0,
    ready: false,
  }
  #over: { phase: 'Succeeded' | 'Failed'; reason?: string; message?: string } | undefined
  #posted = ''
  #postedReady = false
  #heldAfter: number | undefined
  #projected: string
  #evicted: string | undefined
  #killAtMs = Number.POSITIVE_INFINITY
  #told = false
  #changed = Promise.withResolvers<void>()
  #gone = false
  /** The node crashed: its processes are gone, and nobody says so. */
  #dead = false

  constructor(pod: V1Pod, options: WorkerOptions) {
    this.uid = pod.metadata?.uid ?? ''
    this.#pod = pod
    this.#options = options
    this.#place = new PodPlace(options.root, pod, options.api)
    this.#projected = JSON.stringify(pod.metadata?.annotations ?? {})
  }

  get name(): string {
    return this.#pod.metadata?.name ?? ''
  }
  get pid(): number | undefined {
    return this.#container?.pid
  }
  get place(): PodPlace {
    return this.#place
  }

  update(pod: V1Pod): void {
    // an event of the watch may be older than the answer to our last write
    if (versionOf(pod) < versionOf(this.#pod)) return
    this.#pod = pod
    // a controller took a node that was silent for lost: it alone makes its pods ready again
    if (isReady(pod) !== this.#postedReady) this.#posted = ''
    this.#wake()
  }

  /** After an end with this exit code the container is not started again, until `release`. */
  hold(exitCode: number): void {
    this.#heldAfter = exitCode
  }

  release(): void {
    this.#heldAfter = undefined
    this.#wake()
  }

  /** The API server has the object no more. */
  removed(): void {
    this.#gone = true
    this.#container?.signal('SIGKILL')
    this.#wake()
  }

  signal(signal: NodeJS.Signals): void {
    this.#container?.signal(signal)
  }

  /** Eviction by the node itself, for want of room: the pod stays as an object, its data do not. */
  evict(message: string): void {
    this.#evicted = message
    this.#wake()
  }

  /** The node dies with everything on it. */
  die(): void {
    this.#dead = true
    this.#container?.signal('SIGKILL')
    this.#wake()
  }

  /** Everything of this pod, until it is gone. Never rejects. */
  async run(): Promise<void> {
    try {
      await this.#live()
    } catch (error) {
      process.stderr.write(`stand-in kubelet: pod ${this.name}: ${String(error)}\n`)
    } finally {
      this.#container?.signal('SIGKILL')
      await this.#container?.ended
      if (!this.#dead) await this.#place.remove()
      this.#options.onGone(this.uid)
    }
  }

  async #live(): Promise<void> {
    const [container] = this.#pod.spec?.containers ?? []
    if (container === undefined) throw new Error('it has no container')
    await this.#post()
    await this.#pause(this.#options.times().startMs)
    if (!(await this.#mounted())) return await this.#finish(undefined)
    let delayMs = 0
    for (;;) {
      if (this.#ending) return await this.#finish(undefined)
      const ended = await this.#runOnce(container)
      if (this.#dead || this.#gone) return
      if (this.#ending) return await this.#finish(ended)
      const times = this.#options.times()
      const ranMs = Date.parse(ended.finishedAt) - Date.parse(ended.startedAt)
      if (ranMs >= times.backOffForgottenMs) delayMs = 0
      await this.#whileHeld(ended.exitCode)
      if (delayMs > 0) await this.#backOff(delayMs)
      delayMs = Math.min(delayMs === 0 ? times.backOffMs : delayMs * 2, times.backOffMsMax)
      this.#view = { ...this.#view, restarts: this.#view.restarts + 1 }
    }
  }

  get #ending(): boolean {
    return this.#gone || this.#dead || this.#evicted !== undefined || this.#deleting
  }

  get #deleting(): boolean {
    return this.#pod.metadata?.deletionTimestamp !== undefined
  }

  /** Waits for Secrets; false where the pod is to go meanwhile. */
  async #mounted(): Promise<boolean> {
    while (!this.#ending) {
      try {
        await this.#place.mount(this.#pod)
        return true
      } catch (error) {
        if (!(error instanceof VolumeMissing) && statusOf(error) === undefined) throw error
        await this.#pause(this.#options.times().mountMs)
      }
    }
    return false
  }

  /** One instance of the container, from its start to its end. */
  async #runOnce(spec: V1Container): Promise<Ended & { message: string }> {
    await this.#place.clearLastWords()
    const container = await this.#options.runtime.start(this.#pod, spec, this.#place, this.#options.ip)
    this.#container = container
    this.#view = {
      ...this.#view,
      state: { kind: 'running', startedAt: container.startedAt },
      ready: false,
    }
    let ended: Ended | undefined
    void container.ended.then((how) => {
      ended = how
      this.#wake()
    })
    this.#told = false
    this.#killAtMs = Number.POSITIVE_INFINITY
    let failures = 0
    let nextProbeMs = performance.now()
    while (ended === undefined) {
      this.#endInOrder(container)
      await this.#project()
      await this.#post()
      if (ended === undefined && performance.now() >= nextProbeMs) {
        failures = await this.#probe(container, spec, failures)
        nextProbeMs = performance.now() + this.#options.times().probeMs
        await this.#post()
      }
      if (ended === undefined) await this.#pause(Math.max(1, nextProbeMs - performance.now()))
    }
    this.#container = undefined
    const last = { ...(ended as Ended), message: await this.#lastWords(spec, ended as Ended) }
    this.#view = { ...this.#view, state: { kind: 'terminated', ...last }, last, ready: false }
    if (!this.#ending) await this.#post()
    return last
  }

  /** What the container wrote as such; else, where the pod asks for it and it failed, the end of its log. */
  async #lastWords({ terminationMessagePolicy }: V1Container, { exitCode }: Ended): Promise<string> {
    const words = await this.#place.lastWords()
    if (words !== '' || exitCode === 0 || terminationMessagePolicy !== 'FallbackToLogsOnError') return words
    return this.#options.runtime.output(this.uid).slice(-LOG_TAIL_LENGTH)
  }

  /** SIGTERM once, SIGKILL when the grace is over. */
  #endInOrder(container: Container): void {
    const graceSeconds = this.#pod.metadata?.deletionGracePeriodSeconds ?? EVICTION_GRACE_SECONDS
    if (this.#ending) this.#end(container, graceSeconds)
    if (performance.now() >= this.#killAtMs) container.signal('SIGKILL')
  }

  #end(container: Container, graceSeconds: number): void {
    if (this.#told) return
    this.#told = true
    this.#killAtMs = performance.now() + graceSeconds * 1000
    container.signal('SIGTERM')
  }

  /** A probe that fails ends the container within the probe's own grace, or within the pod's where it has none. */
  async #probe(container: Container, { livenessProbe }: V1Container, failures: number): Promise<number> {
    const { probeTimeoutMs } = this.#options.times()
    const ready = await container.probe('/readyz', probeTimeoutMs)
    this.#view = { ...this.#view, ready }
    if (ready) return 0
    // a process that is up answers /livez also while its book is not
    const alive = await container.probe('/livez', probeTimeoutMs)
    const uptimeMs = Date.now() - Date.parse(container.startedAt)
    const failed = alive || uptimeMs < this.#options.times().probeMs * 40 ? 0 : failures + 1
    const { spec } = this.#pod
    const graceSeconds =
      livenessProbe?.terminationGracePeriodSeconds ?? spec?.terminationGracePeriodSeconds ?? POD_GRACE_SECONDS
    if (failed >= this.#options.times().livenessFailures) this.#end(container, graceSeconds)
    return failed
  }

  async #whileHeld(exitCode: number): Promise<void> {
    while (!this.#ending && this.#heldAfter === exitCode) {
      await this.#project()
      await this.#pause(HELD_LOOK_MS)
    }
  }

  async #backOff(delayMs: number): Promise<void> {
    const untilMs = performance.now() + delayMs
    const message = `back-off ${delayMs} ms restarting failed container`
    this.#view = { ...this.#view, state: { kind: 'waiting', reason: 'CrashLoopBackOff', message } }
    await this.#post()
    while (!this.#ending && performance.now() < untilMs) {
      await this.#project()
      await this.#pause(Math.max(1, untilMs - performance.now()))
    }
  }

  /** The pod's last status, then its removal where it was deleted; an evicted one stays until somebody deletes it. */
  async #finish(ended: (Ended & { message: string }) | undefined): Promise<void> {
    const last = ended ?? this.#view.last
    const phase = last !== undefined && last.exitCode === 0 ? 'Succeeded' : 'Failed'
    this.#over = { phase }
    if (this.#evicted !== undefined && phase === 'Failed')
      this.#over = { phase, reason: 'Evicted', message: this.#evicted }
    await this.#post()
    while (!this.#deleting && !this.#gone && !this.#dead) await this.#pause(60_000)
    // volumes first, as the real one does: an object that is gone has left nothing behind
    if (!this.#dead) await this.#place.remove()
    while (!this.#gone && !this.#dead) {
      if (this.#options.online() && (await this.#delete())) return
      await this.#pause(API_RETRY_MS)
    }
  }

  async #delete(): Promise<boolean> {
    try {
      const body = { gracePeriodSeconds: 0, preconditions: { uid: this.uid } }
      await this.#options.api.send('DELETE', this.#path, body)
      return true
    } catch (error) {
      const status = statusOf(error)
      // gone already, or another pod has the name now
      return status === 404 || status === 409
    }
  }

  get #path(): string {
    return `/api/v1/namespaces/${this.#pod.metadata?.namespace}/pods/${this.name}`
  }

  async #project(): Promise<void> {
    const wanted = JSON.stringify(this.#pod.metadata?.annotations ?? {})
    if (wanted === this.#projected || !this.#options.online()) return
    this.#projected = wanted
    await this.#pause(this.#options.times().projectMs)
    await this.#place.project(this.#pod)
  }

  /** Posts the status where it changed; what cannot be posted now is posted with the next look. */
  async #post(): Promise<void> {
    if (!this.#options.online() || this.#gone || this.#dead) return
    const view: PodView = {
      phase: this.#phase,
      ...this.#over,
      ip: this.#view.state.kind === 'waiting' && this.#view.restarts === 0 ? '' : this.#options.ip,
      hostIp: this.#options.hostIp,
      startTime: this.#startTime,
      container: this.#view,
    }
    const text = JSON.stringify(view)
    if (text === this.#posted) return
    const before = this.#pod.status?.conditions ?? []
    const status = statusOfPod(this.#pod, view, before, new Date().toISOString())
    try {
      const body = { metadata: { uid: this.uid }, status }
      this.#pod = await this.#options.api.send('PATCH', `${this.#path}/status`, body, STRATEGIC_MERGE)
      this.#posted = text
      this.#postedReady = isReady(this.#pod)
    } catch (error) {
      const code = statusOf(error)
      // gone, or another pod of this name: there is nothing to tell any more
      if (code === 404 || code === 409) this.#posted = text
      else if (code !== undefined && code < 500 && code !== 429) throw error
    }
  }

  get #phase(): PodView['phase'] {
    const { state, restarts } = this.#view
    return state.kind === 'waiting' && restarts === 0 && this.#view.last === undefined ? 'Pending' : 'Running'
  }

  #wake(): void {
    this.#changed.resolve()
  }

  /** Until something changes, at most so long. */
  async #pause(ms: number): Promise<void> {
    const { promise } = this.#changed
    let timer: NodeJS.Timeout | undefined
    await Promise.race([promise, new Promise<void>((wake) => (timer = setTimeout(wake, ms)))])
    clearTimeout(timer)
    this.#changed = Promise.withResolvers<void>()
  }
}

function isReady({ status }: V1Pod): boolean {
  return status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true
}

/** Versions of one object rise. */
function versionOf({ metadata }: V1Pod): bigint {
  return BigInt(metadata?.resourceVersion ?? 0)
}
