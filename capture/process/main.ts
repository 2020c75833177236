/** The life of one capture process: configuration, port, signals, exit code. */
import { readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import { ConfigError, type ProcessConfig, parseProcessConfig, withPodIdentity } from '../../api/config.ts'
import { EXIT_INTERNAL_ERROR, EXIT_WRONG_CALL } from '../../api/reasons.ts'
import { SpoolLocked, SpoolUnusable } from '../journal/mod.ts'
import { PortError, serve } from '../serve/mod.ts'
import { BucketError } from '../ship/mod.ts'
import { isBroken, reportBroken } from './broken-disk.ts'
import { Capture } from './capture.ts'
import { makeLog } from './log.ts'
import { toldNews } from './news.ts'

const STATUS_EVERY_MS = 500
/** A status that takes long to make, since the spool is full of windows, is told less often: by so much. */
const STATUS_RESTS = 20
/** One count that took seconds, on a machine that was busy for a moment, must not keep the next one away for minutes. */
const STATUS_REST_MS_MAX = 5_000
/** How long a process whose parent is gone goes on shipping; the next start ships the rest. */
const ORPHAN_DRAINS_MS = 30_000

function readConfig(): ProcessConfig {
  const file = process.argv[2]
  if (file !== undefined) {
    try {
      return parseProcessConfig(readFileSync(file, 'utf8'), file)
    } catch (error) {
      if (error instanceof ConfigError) throw error
      throw new ConfigError(`cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  const text = process.env['L2CAP_CONFIG']
  if (text === undefined) throw new ConfigError('no configuration: set L2CAP_CONFIG to JSON, or give a file')
  return parseProcessConfig(text, 'L2CAP_CONFIG')
}

/** Wrong calls and places that cannot be used: a sentence for a person and no trace. */
function isUserError(error: unknown): error is Error {
  return [ConfigError, SpoolLocked, SpoolUnusable, PortError, BucketError].some(
    (kind) => error instanceof kind,
  )
}

async function main(): Promise<number> {
  // a parent may die at any time, also before this process has started to capture
  const parentGone = process.send === undefined ? new Promise<void>(() => undefined) : channelClosed()
  // a signal that comes while the spool is taken up is kept until there is something to end
  let signals = 0
  let onSignal = () => {
    signals++
  }
  process.on('SIGTERM', () => onSignal()).on('SIGINT', () => onSignal())
  const config = withPodIdentity(readConfig(), process.env)
  const log = await makeLog({ exchange: config.exchange, symbol: config.symbol }, process.stdout.isTTY)
  let started: Capture | undefined
  if (config.port !== undefined) {
    // before anything is touched: a port in use leaves no trace in the spool
    const server = await serve(config.host, config.port, {
      // one that still takes up its spool has nothing that could beat yet
      stuck: () => ((started?.alive() ?? true) ? '' : 'no tick was handled for ten seconds'),
      ready: () => started?.ready() ?? false,
      status: async () => (await started?.status()) ?? { state: 'starting', symbol: config.symbol },
      metrics: async () => (await started?.metrics()) ?? { type: 'text/plain', text: '' },
    })
    server.unref()
  }
  const capture = await startOn(config, log)
  if (typeof capture === 'number') return capture
  started = capture
  onSignal = () => {
    signals++
    void (signals === 1 ? capture.drain() : capture.leave())
  }
  process.on('uncaughtException', (error) => void capture.fail(error))
  if (process.send !== undefined) tellParent(capture, config)
  // then it takes its captures along in order, and not for ever where the bucket cannot be reached
  void parentGone.then(() => {
    onSignal()
    setTimeout(() => void capture.leave(), ORPHAN_DRAINS_MS).unref()
  })
  if (signals > 0) void (signals === 1 ? capture.drain() : capture.leave())
  const { exitCode } = await capture.ended
  return exitCode
}

/** Starts the capture; the exit code where the spool's disk is broken. Throws what a user can mend. */
async function startOn(config: ProcessConfig, log: Logger): Promise<Capture | number> {
  try {
    return await Capture.start(config, log)
  } catch (error) {
    if (!(error instanceof Error) || !(await isBroken(config.spool.dir))) throw error
    process.stderr.write(`l2cap: ${error.message}\n`)
    return await reportBroken(config, error.message)
  }
}

/** A parent process that started us with a channel gets the status as it goes, and each gap. */
function tellParent(capture: Capture, config: ProcessConfig): void {
  const tell = async () => {
    const startedMs = performance.now()
    try {
      const status = await capture.status()
      if (process.connected) process.send?.(status)
    } catch {
      // the spool changed under the count; the next one comes soon
    }
    const tookMs = performance.now() - startedMs
    const restMs = Math.min(tookMs * STATUS_RESTS, STATUS_REST_MS_MAX)
    setTimeout(tell, Math.max(STATUS_EVERY_MS, restMs)).unref()
  }
  setTimeout(tell, STATUS_EVERY_MS).unref()
  // at once, and each one: of two gaps between two looks at the status the second would hide the first
  capture.onCoverage((news) => {
    if (process.connected) process.send?.(toldNews(news, config.bookLevels))
  })
}

/** Resolves when the channel to the parent is closed, or was when asked. */
async function channelClosed(): Promise<void> {
  if (!process.connected) return
  await new Promise<void>((resolve) => process.once('disconnect', () => resolve()))
}

main().then(
  (exitCode) => process.exit(exitCode),
  (error: unknown) => {
    const known = isUserError(error)
    process.stderr.write(
      `l2cap: ${known || !(error instanceof Error) ? String(error instanceof Error ? error.message : error) : error.stack}\n`,
    )
    process.exit(known ? EXIT_WRONG_CALL : EXIT_INTERNAL_ERROR)
  },
)
