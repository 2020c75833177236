/** The operator's process: options, port, signals, exit code. */
import { setFlagsFromString } from 'node:v8'
import { EXIT_INTERNAL_ERROR, EXIT_WRONG_CALL } from '../api/reasons.ts'
import { PortError, serve } from '../capture/serve/mod.ts'
import { KubeError, openConnection, system } from './kube/mod.ts'
import { makeLog } from './log.ts'
import { OperatorMetrics } from './metrics.ts'
import { Operator } from './operator.ts'
import { readOptions, USAGE, UsageError } from './options.ts'
import { SettingsError } from './settings.ts'

const EXIT_STOPPED = 0

// what a look makes is garbage at its end: V8 would let 48 MB of it and more gather before it looks, which with 500
// pods is a third of our memory, and no look is the faster for it
setFlagsFromString('--semi-space-growth-factor=1')

async function main(): Promise<number> {
  const argv = process.argv.slice(2)
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(USAGE)
    return EXIT_STOPPED
  }
  const options = readOptions(argv, process.env)
  const log = makeLog(options.identity)
  const metrics = new OperatorMetrics()
  const connection = await openConnection(
    options.kubeconfig === undefined ? {} : { kubeconfig: options.kubeconfig },
    system,
    metrics,
  )
  const operator = new Operator(options, { connection, system, log, metrics })
  const server = await serve(options.host, options.port, {
    stuck: () => operator.stuck,
    ready: () => operator.ready,
    metrics: () => metrics.text(),
  })
  let stopping = false
  const stop = (signal: string) => {
    if (stopping) return
    stopping = true
    log.info({ signal }, 'stopping in order')
    void operator.stop()
  }
  process.on('SIGTERM', stop).on('SIGINT', stop)
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : options.port
  log.info({ host: connection.host, namespace: options.namespace ?? 'all', port }, 'the operator starts')
  operator.start()
  const why = await operator.ended
  server.close()
  if (why === 'stopped') return EXIT_STOPPED
  log.error(why)
  return EXIT_INTERNAL_ERROR
}

/** What a person can mend: a sentence and no trace. */
function isUserError(error: unknown): error is Error {
  return [UsageError, SettingsError, KubeError, PortError].some((kind) => error instanceof kind)
}

main().then(
  (exitCode) => process.exit(exitCode),
  (error: unknown) => {
    const known = isUserError(error)
    const trace = error instanceof Error ? (error.stack ?? error.message) : String(error)
    const see = error instanceof UsageError ? '; see --help' : ''
    const text = isUserError(error) ? error.message + see : trace
    process.stderr.write(`l2cap-operator: ${text}\n`)
    process.exit(known ? EXIT_WRONG_CALL : EXIT_INTERNAL_ERROR)
  },
)
