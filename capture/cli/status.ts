/** `l2cap status`: how the captures of a cluster fare, from the cluster. */
import { CallError, readCall } from './call.ts'

export const HELP = `l2cap status: shows how the captures of a cluster fare, one line a symbol.

Reads L2Captures and their pods, and asks each running pod through the API server; what a pod does not answer is
shown as "-". Needs the rights to get and list l2captures and pods, and to get pods/proxy.

  l2cap status [NAME]

  NAME                    one L2Capture; all of the namespace without it
  -n, --namespace NAME    default: that of the kubeconfig's context
  -A, --all-namespaces
  --kubeconfig FILE       default: $KUBECONFIG, or ~/.kube/config
  --context NAME          default: the kubeconfig's current one
  --json                  one JSON object: {captures: […], symbols: […]}

Columns: SINCE is the age of the state; LAG the time since the last event of the book; BACKLOG what is recorded and
not yet proven in the bucket; LAST COMMIT the age of the last proven window.

Examples:
  l2cap status
  l2cap status -n market-data majors

Exit codes: 0 every capture is Ready, 1 at least one is not, 2 wrong call.
`

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readCall('l2cap status', args, {
    namespace: { type: 'string', short: 'n' },
    'all-namespaces': { type: 'boolean', short: 'A' },
    kubeconfig: { type: 'string' },
    context: { type: 'string' },
    json: { type: 'boolean' },
  })
  if (positionals.length > 1)
    throw new CallError('give one L2Capture, or none for all; see l2cap status --help')
  if (values['all-namespaces'] === true && values.namespace !== undefined)
    throw new CallError('give one of --namespace and --all-namespaces')
  const [{ readCluster }, { captureLine, statusText, symbolLines }] = await Promise.all([
    import('./cluster.ts'),
    import('./status-table.ts'),
  ])
  const reports = await readCluster({
    kubeconfig: values.kubeconfig,
    context: values.context,
    namespace: values.namespace,
    allNamespaces: values['all-namespaces'] === true,
    name: positionals[0],
  })
  const nowMs = Date.now()
  if (values.json === true) {
    const captures = reports.map(({ capture }) => captureLine(capture))
    const symbols = reports.flatMap((report) => symbolLines(report, nowMs))
    process.stdout.write(`${JSON.stringify({ captures, symbols }, undefined, 2)}\n`)
  } else if (reports.length === 0) process.stdout.write('there is no L2Capture here\n')
  else process.stdout.write(`${statusText(reports, nowMs).join('\n')}\n`)
  return reports.every(({ capture }) => captureLine(capture).ready === 'True') ? 0 : 1
}
