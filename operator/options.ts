import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { parseArgs } from 'node:util'
import { parse } from 'yaml'
import { parseSettings, type Settings, SettingsError } from './settings.ts'

/** What the operator is started with. */
export interface Options {
  readonly settings: Settings
  /** The one namespace that it watches; all of the cluster without it. */
  readonly namespace: string | undefined
  readonly leaseNamespace: string | undefined
  readonly leaseName: string
  /** Who holds the lease; unlike that of any other replica. */
  readonly identity: string
  readonly kubeconfig: string | undefined
  readonly host: string
  readonly port: number
  /** Looks at captures that are worked on at once. */
  readonly workers: number
  /** A replica leads for so long after it was last heard of. */
  readonly leaseSeconds: number
  /** Whole lists are read at least this often, in case that a watch swallowed something. */
  readonly relistSeconds: number
  /** Every capture is looked at so often even where nothing changed. */
  readonly resyncSeconds: number
}

export const USAGE = `l2cap-operator --settings FILE [options]

  --settings FILE          what the administrator decides (YAML or JSON), see docs/OPERATIONS.md
  --namespace NAME         watch this namespace alone; all of them without it
  --lease-namespace NAME   where the Lease of the replicas lies (default: the operator's own namespace)
  --lease-name NAME        default l2cap-operator
  --identity NAME          this replica (default: $L2CAP_POD_NAME, or the host's name); something random is added,
                           since two processes of one identity would both lead
  --kubeconfig FILE        default: $KUBECONFIG, the service account, or ~/.kube/config
  --host ADDRESS           of /livez, /readyz and /metrics (default ::, which is IPv4 as well)
  --port PORT              default 8080
  --workers N              default 4
  --lease-seconds N        another replica takes over this long after it last saw a renewal (default 15); the one that
                           leads stops writing after two thirds of it
  --relist-seconds N       read whole lists so often, however well the watches go (default 1800)
  --resync-seconds N       look at every capture so often, also where nothing changed (default 300)
`

/** A wrong call; the message says what was expected. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly code = 'UsageError'
}

/** Reads the command line, and the settings that it names. Throws UsageError and SettingsError. */
export function readOptions(argv: readonly string[], env: NodeJS.ProcessEnv): Options {
  const values = parsed(argv)
  if (values.settings === undefined) throw new UsageError('give --settings FILE')
  return {
    settings: readSettings(values.settings),
    namespace: values.namespace,
    leaseNamespace: values['lease-namespace'] ?? env['L2CAP_POD_NAMESPACE'],
    leaseName: values['lease-name'] ?? 'l2cap-operator',
    identity: `${values.identity ?? env['L2CAP_POD_NAME'] ?? hostname()}_${randomBytes(4).toString('hex')}`,
    kubeconfig: values.kubeconfig,
    host: values.host ?? '::',
    port: wholeNumber('port', values.port ?? '8080', 0, 65_535),
    workers: wholeNumber('workers', values.workers ?? '4', 1, 64),
    leaseSeconds: wholeNumber('lease-seconds', values['lease-seconds'] ?? '15', 3, 3600),
    relistSeconds: wholeNumber('relist-seconds', values['relist-seconds'] ?? '1800', 1, 86_400),
    resyncSeconds: wholeNumber('resync-seconds', values['resync-seconds'] ?? '300', 1, 86_400),
  }
}

function parsed(argv: readonly string[]) {
  const text = { type: 'string' } as const
  const options = {
    settings: text,
    namespace: text,
    'lease-namespace': text,
    'lease-name': text,
    identity: text,
    kubeconfig: text,
    host: text,
    port: text,
    workers: text,
    'lease-seconds': text,
    'relist-seconds': text,
    'resync-seconds': text,
  } as const
  try {
    return parseArgs({ args: [...argv], options, strict: true }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function readSettings(file: string): Settings {
  let value: unknown
  try {
    value = parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new SettingsError(`cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (value === undefined || value === null)
    throw new SettingsError(`${file} is empty; it must name the captures' image at least: image: …`)
  return parseSettings(value)
}

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (/^\d{1,9}$/.test(text) && value >= min && value <= max) return value
  throw new UsageError(`--${name} ${text}: expected a whole number from ${min} to ${max}`)
}
