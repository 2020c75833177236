/** The simulated exchange as a process. */
import { z } from 'zod'
import { Child } from './child.ts'
import type { DemoOptions } from './options.ts'
import { SYMBOLS } from './options.ts'

/** So long recorded traffic is made to last. */
const RECORDED_SECONDS = 25
/** Two busy markets; and one with few changes, in which a wrong level stands until it is looked for. */
const PROFILES = 'SOLUSDT=thin'

const Ready = z.object({
  endpoints: z.string(),
  symbols: z.array(z.string()),
  derived: z.array(z.string()),
  frames: z.number(),
  seconds: z.number(),
})
const Event = z.discriminatedUnion('event', [
  z.object({ event: z.literal('fault'), kind: z.string(), symbol: z.string(), id: z.string() }),
  z.object({ event: z.literal('end'), symbol: z.string(), lastUpdateId: z.string() }),
])
export type ExchangeEvent = z.infer<typeof Event>

export interface Exchange extends z.infer<typeof Ready> {
  readonly speed: number
  /** Fires faults now: `drop:BTCUSDT@0`. */
  inject(faults: string): void
  stop(): Promise<unknown>
}

/** The exchange could not be started; the message is its own. */
export class ExchangeError extends Error {
  readonly code = 'ExchangeFailed'
  readonly exitCode: number

  constructor(message: string, exitCode: number) {
    super(message)
    this.name = 'ExchangeError'
    this.exitCode = exitCode
  }
}

/** Starts the exchange. `keep` gets every process as it is started. Throws ExchangeError. */
export async function startExchange(
  { market, faults }: DemoOptions,
  keep: (child: Child) => void,
  onEvent: (event: ExchangeEvent) => void,
): Promise<Exchange> {
  const extra = faults === undefined || faults === '' ? [] : ['--faults', faults]
  if (market.kind === 'generated') {
    const args = ['--seed', String(market.seed), '--symbols', SYMBOLS.join(','), '--profile', PROFILES]
    return await start([...args, ...extra], 1, keep, onEvent)
  }
  const args = (speed: number) => ['--recording', market.file, '--speed', String(speed), ...extra]
  if (market.speed !== undefined) return await start(args(market.speed), market.speed, keep, onEvent)
  // only the exchange knows how long its recording lasts: it is asked before it plays
  const probe = await start(args(1), 1, keep, onEvent)
  const speed = Math.max(1, Math.round((probe.seconds / RECORDED_SECONDS) * 10) / 10)
  if (speed === 1) return probe
  await probe.stop()
  return await start(args(speed), speed, keep, onEvent)
}

async function start(
  args: readonly string[],
  speed: number,
  keep: (child: Child) => void,
  onEvent: (event: ExchangeEvent) => void,
): Promise<Exchange> {
  const { promise, resolve, reject } = Promise.withResolvers<z.infer<typeof Ready>>()
  let isReady = false
  const child = new Child('test/demo/exchange-process.ts', args, (line) => {
    if (isReady) return onEvent(Event.parse(JSON.parse(line)))
    isReady = true
    resolve(Ready.parse(JSON.parse(line)))
  })
  keep(child)
  void child.ended.then((exitCode) => {
    const said = child.stderr.trim().replace(/^sim: /, '')
    reject(new ExchangeError(said || 'the simulated exchange ended at once', exitCode))
  })
  const inject = (faults: string) => child.write(`inject ${faults}\n`)
  return { ...(await promise), speed, inject, stop: () => child.stop() }
}
