/** A replica that writes all the time while it may: node leader-child.ts KUBECONFIG RENEW_DEADLINE_MS. Exits 0 when the lease is lost. */
import {
  ApiError,
  Elector,
  KubeClient,
  leaseApi,
  openConnection,
  system,
} from '../../../operator/kube/mod.ts'

const WRITERS = 8
const renewDeadlineMs = Number(process.argv[3])
const connection = await openConnection({ kubeconfig: process.argv[2] }, system)
const elector = new Elector({
  leases: leaseApi(new KubeClient({ connection, system }), 'x', 'l2cap'),
  identity: `child-${process.pid}`,
  system,
  times: { leaseMs: 2 * renewDeadlineMs, renewDeadlineMs, retryMs: 300 },
})
const client = new KubeClient({
  connection,
  system,
  qps: 10_000,
  burst: 10_000,
  fence: () => elector.mayWrite(),
})
let refused = 0

async function write(): Promise<void> {
  for (;;) {
    await client.request({ method: 'POST', path: '/writes', body: {} }).catch((error: unknown) => {
      if (error instanceof ApiError && error.code === 'Fenced') refused += 1
    })
    // also while it may not write it tries, but lets others run
    await new Promise((resolve) => setImmediate(resolve))
  }
}

for (let writers = 0; writers < WRITERS; writers++) void write()
const end = await elector.run(new AbortController().signal)
// a timer may find out before any writer has tried
while (refused === 0) await new Promise((resolve) => setImmediate(resolve))
process.stdout.write(`${end} ${refused > 0 ? 'refused' : ''}\n`)
process.exit(end === 'lost' ? 0 : 1)
