import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as moment } from 'node:timers/promises'
import { Random } from '../../sim/market/random.ts'
import type { Cluster } from '../cluster.ts'
import { answerFromPod } from './pod-network.ts'
import { cut, type StatusAnswer, sendHalf, sendJson, sendStatus, sendText } from './reply.ts'
import { readRequest, type SeenRequest } from './request.ts'
import { type Chance, type Match, matches, Rule } from './rule.ts'
import { StaleView } from './stale-view.ts'
import { plainHeaders, Upstream } from './upstream.ts'
import { type ProxiedEvent, type WatchEnd, type WatchFault, WatchRule, WatchStream } from './watch-stream.ts'
import { isNumbered, type Write, type WriteHooks } from './writes.ts'

/** Requests that are remembered; the oldest go first. */
const REQUESTS_MAX = 200_000

export type RequestFault =
  /**
   * The server never sees the request, and the client gets no answer until the rule is removed: then the
   * connection breaks.
   */
  | 'hang'
  /** The connection breaks before the server sees the request. */
  | 'cut'
  /** The server does it; the connection breaks instead of the answer. */
  | 'lose-reply'
  /** The server does it; the connection breaks in the middle of the answer. */
  | 'half-reply'
  | { readonly kind: 'delay'; readonly ms: number }
  | ({ readonly kind: 'answer' } & StatusAnswer)

export interface ProxyOptions {
  readonly target: Cluster
  /** Speak plain HTTP, also where the server's certificate is at hand. */
  readonly plain?: boolean
  /** Of probabilities. Default: a random one, which is printed when the first of them is used. */
  readonly seed?: number
  /** An event that waits for the next one, to come after it, goes after this time even if there is none. */
  readonly swapWaitsMs?: number
  /** Which writes are numbered; default: those that change what a reconcile looks at. */
  readonly numbered?: (request: SeenRequest) => boolean
}

interface RequestRule {
  readonly rule: Rule
  readonly fault: RequestFault
}

/** Starts a proxy on 127.0.0.1 that passes everything on until it is told otherwise. */
export async function startProxy(options: ProxyOptions): Promise<FaultProxy> {
  const proxy = new FaultProxy(options)
  await proxy.listen()
  return proxy
}

/** One of the test's own, gone again with it. */
export async function ownProxy(
  context: { after(work: () => Promise<void>): void },
  options: ProxyOptions,
): Promise<FaultProxy> {
  const proxy = await startProxy(options)
  context.after(() => proxy.close())
  return proxy
}

export class FaultProxy {
  /** All requests, in order of arrival. */
  readonly requests: SeenRequest[] = []
  /** The numbered ones, `writes[k - 1]` has the number k. */
  readonly writes: Write[] = []
  readonly seed: number
  onWrite: WriteHooks = {}
  readonly #target: Cluster
  readonly #server: http.Server | https.Server
  readonly #upstream: Upstream
  readonly #numbered: (request: SeenRequest) => boolean
  readonly #random: Random
  readonly #swapWaitsMs: number
  readonly #ca: string | undefined
  #requestRules: RequestRule[] = []
  #watchRules: WatchRule[] = []
  #strikes: { readonly rule: Rule; readonly fault: WatchEnd }[] = []
  #views: StaleView[] = []
  readonly #watches = new Set<WatchStream>()
  /** Of the proxy itself, or of a test's hook. */
  readonly #mistakes: unknown[] = []
  #count = 0
  /** Nobody knows the seed but us. */
  #seedIsNews: boolean

  constructor({ target, plain = false, seed, numbered = isNumbered, swapWaitsMs = 500 }: ProxyOptions) {
    const { tls } = target
    const listener = (request: IncomingMessage, reply: ServerResponse) => void this.#take(request, reply)
    this.#target = target
    this.#ca = plain ? undefined : tls?.ca
    this.#server =
      plain || tls === undefined ? http.createServer(listener) : https.createServer({ ...tls }, listener)
    // an idle connection that ends at the moment of a request would be a fault that nobody asked for
    this.#server.keepAliveTimeout = 600_000
    this.#server.requestTimeout = 0
    this.#upstream = new Upstream(target.server, target.ca)
    this.#numbered = numbered
    this.#swapWaitsMs = swapWaitsMs
    this.seed = seed ?? randomInt(2 ** 31)
    this.#seedIsNews = seed === undefined
    this.#random = new Random(this.seed, 'fault proxy')
  }

  /** What clients are told instead of the server. */
  get server(): string {
    const { port } = this.#server.address() as AddressInfo
    return `${this.#server instanceof https.Server ? 'https' : 'http'}://127.0.0.1:${port}`
  }

  get ca(): string | undefined {
    return this.#ca
  }

  /** The path of a kubeconfig that leads here. */
  kubeconfig(token: string): string {
    return this.#target.kubeconfig(token, { server: this.server, ca: this.ca })
  }

  /** Watches that are open now. */
  get watches(): readonly SeenRequest[] {
    return [...this.#watches].map(({ request }) => request)
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  /** Throws where a hook of the test threw, or the proxy itself went wrong: such a test has proven nothing. */
  async close(): Promise<void> {
    this.heal()
    this.#upstream.close()
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
    if (this.#mistakes.length > 0) throw new AggregateError(this.#mistakes, 'the fault proxy went wrong')
  }

  /**
   * Requests that match fail so. Rules strike in the order in which they were made; after a delay the next one
   * may strike, too.
   */
  fault({ when = {}, do: fault, ...chance }: { when?: Match; do: RequestFault } & Chance): Rule {
    const rule = new Rule(when, chance, () => this.#draw())
    this.#requestRules.push({ rule, fault })
    return rule
  }

  /** Events of watches that match go so; bookmarks only where `pick` says so. */
  tamper(
    options: { when?: Match; pick?: (event: ProxiedEvent) => boolean; do: WatchFault } & Chance,
  ): WatchRule {
    const { when = {}, pick, do: fault, ...chance } = options
    const rule = new WatchRule(fault, pick, when, chance, () => this.#draw())
    this.#watchRules.push(rule)
    return rule
  }

  /**
   * Watches that match end so at once: those that are open now, and those that are opened later, without any
   * event.
   */
  strike({ when = {}, do: fault, ...chance }: { when?: Match; do: WatchEnd } & Chance): Rule {
    const rule = new Rule(when, chance, () => this.#draw())
    this.#strikes.push({ rule, fault })
    for (const watch of this.#watches) if (watch.isOf(when) && rule.claims()) watch.strike(fault, rule)
    return rule
  }

  /**
   * Nothing passes any more, and nothing breaks either: requests hang, watches are silent. Until the rules are
   * removed.
   */
  partition(): { remove(): void } {
    const rules = [this.fault({ do: 'hang' }), this.strike({ do: 'freeze' })]
    return { remove: () => rules.forEach((rule) => void rule.remove()) }
  }

  /** The server lags behind, from now or from an older version on; by default for every read. */
  async staleView(options: { when?: Match; version?: string } = {}): Promise<StaleView> {
    const { when = {}, version = await this.currentVersion() } = options
    const view = new StaleView(version, when, {}, () => 0)
    this.#views.push(view)
    return view
  }

  /** The newest version of the cluster. */
  async currentVersion(): Promise<string> {
    const list = await this.#target.api.get<{ metadata: { resourceVersion: string } }>(
      '/api/v1/namespaces?limit=1',
    )
    return list.metadata.resourceVersion
  }

  /** Removes all rules. */
  heal(): void {
    const rules = [...this.#requestRules, ...this.#strikes].map(({ rule }) => rule)
    for (const rule of [...rules, ...this.#watchRules, ...this.#views]) rule.remove()
    this.#requestRules = []
    this.#watchRules = []
    this.#strikes = []
    this.#views = []
  }

  async #take(incoming: IncomingMessage, reply: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/', headers } = incoming
    const gone = new AbortController()
    reply.once('close', () => gone.abort())
    try {
      const body = await text(incoming)
      this.#count += 1
      const request = readRequest({ number: this.#count, method, url, headers, body })
      this.requests.push(request)
      if (this.requests.length > REQUESTS_MAX) this.requests.shift()
      await this.#answer(request, reply, gone.signal)
    } catch (error) {
      // to the client every one of them is a broken connection
      if (!isOfNetwork(error)) this.#mistakes.push(error)
      cut(reply)
    }
  }

  async #answer(request: SeenRequest, reply: ServerResponse, gone: AbortSignal): Promise<void> {
    const fault = await this.#struck(request, reply)
    if (fault === 'answered') return
    if (request.resource === 'pods' && request.subresource === 'proxy') {
      return await answerFromPod(request, reply, this.#target.api)
    }
    if (request.verb === 'watch') return await this.#watch(request, reply, gone)
    const view = this.#views.find((each) => each.isFor(request))
    if (view !== undefined && request.verb === 'get' && request.subresource === '') {
      view.fired += 1
      return await this.#staleGet(view, request, reply)
    }
    if (view !== undefined && request.verb === 'list') {
      view.fired += 1
      return await this.#pass(request, view.listUrl(request), reply, fault, gone)
    }
    await this.#pass(request, request.url, reply, fault, gone)
  }

  /** Lets the rules for requests strike; what is left to do to the answer is returned. */
  async #struck(request: SeenRequest, reply: ServerResponse) {
    for (const { rule, fault } of this.#requestRules) {
      if (!matches(rule.when, request) || !rule.claims()) continue
      if (fault === 'lose-reply' || fault === 'half-reply') return fault
      if (fault === 'hang') {
        await rule.removed
        cut(reply)
      } else if (fault === 'cut') cut(reply)
      else if (fault.kind === 'answer') sendStatus(reply, fault)
      else {
        await moment(fault.ms)
        continue
      }
      return 'answered'
    }
    return undefined
  }

  async #pass(
    request: SeenRequest,
    url: string,
    reply: ServerResponse,
    fault: 'lose-reply' | 'half-reply' | undefined,
    gone: AbortSignal,
  ): Promise<void> {
    const write = this.#numbered(request) ? this.#number(request) : undefined
    if (write !== undefined && (await this.onWrite.before?.(write)) === 'cut') return cut(reply)
    // a write that has begun is done, whether its client is still there or not
    const signal = write === undefined ? gone : new AbortController().signal
    const answer = await this.#upstream.ask(request, url, signal)
    const body = await text(answer)
    const { statusCode = 502 } = answer
    const headers = plainHeaders(answer.headers)
    if (write !== undefined) {
      write.status = statusCode
      if ((await this.onWrite.after?.(write)) === 'cut') return cut(reply)
    }
    if (fault === 'lose-reply') return cut(reply)
    if (fault === 'half-reply') return sendHalf(reply, statusCode, body, headers)
    sendText(reply, statusCode, body, headers)
  }

  #number(request: SeenRequest): Write {
    const write = { number: this.writes.length + 1, request, status: undefined }
    this.writes.push(write)
    return write
  }

  async #staleGet(view: StaleView, request: SeenRequest, reply: ServerResponse): Promise<void> {
    const found = await view.read(this.#target.api, request)
    if (found !== undefined) return sendJson(reply, 200, found)
    sendStatus(reply, { status: 404, message: `${request.resource} "${request.name}" not found` })
  }

  async #watch(request: SeenRequest, reply: ServerResponse, gone: AbortSignal): Promise<void> {
    const answer = await this.#upstream.ask(request, request.url, gone)
    const { statusCode = 502 } = answer
    const headers = plainHeaders(answer.headers)
    if (statusCode !== 200) return sendText(reply, statusCode, await text(answer), headers)
    reply.writeHead(statusCode, headers)
    reply.flushHeaders()
    const stream = new WatchStream(request, reply, () => this.#watchRules, this, this.#swapWaitsMs)
    this.#watches.add(stream)
    try {
      for (const { rule, fault } of this.#strikes)
        if (stream.isOf(rule.when) && rule.claims()) stream.strike(fault, rule)
      await stream.pipe(answer)
    } finally {
      this.#watches.delete(stream)
    }
  }

  #draw(): number {
    if (this.#seedIsNews) process.stdout.write(`fault proxy: seed ${this.seed}\n`)
    this.#seedIsNews = false
    return this.#random.next()
  }

  /** Waits where a stale view holds the event back. */
  holdsBack(request: SeenRequest, event: ProxiedEvent): Promise<void> | undefined {
    for (const view of this.#views) {
      const held = view.holdsBack(request, event)
      if (held !== undefined) return held
    }
    return undefined
  }
}

/** The client has left, or the server is away. */
function isOfNetwork(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? String(error.code) : ''
  return error.name === 'AbortError' || /^(E[A-Z]+|ABORT_ERR|ERR_STREAM_.*)$/.test(code)
}
