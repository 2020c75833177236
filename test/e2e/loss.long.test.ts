import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { z } from 'zod'
import { ownClusterProblem } from '../cluster/mod.ts'
import { s3Problem } from '../s3/server.ts'
import { waitFor } from '../support/wait.ts'
import { PodHistory } from './history.ts'
import { handedOver, manifestsBy, manifestsOf, missingSeconds, overlapping, publishes } from './published.ts'
import { CALM, nameOf, Scene } from './scene.ts'

const problem = ownClusterProblem() || s3Problem()
/** They wait more than they work. */
const options = problem === '' ? { concurrency: 2 } : { skip: problem }
const SYMBOLS = ['BTCUSDT', 'ETHUSDT']
/** A successor of a pod that tells nothing any more waits so long. */
const LOST = { handoverSeconds: 6, lostNodeSeconds: 1 }

describe('pods and nodes that go by force', options, () => {
  it('a node that dies: its pod is replaced on another one, which publishes when it has waited long enough; marked, and verify is clean', async (context) => {
    const scene = await Scene.open(context, { settings: { times: LOST } })
    const history = await PodHistory.open(context, scene.cluster.api, scene.namespace)
    await scene.apply('majors', { guards: CALM })
    const dead = await scene.live('BTCUSDT')

    scene.kubelet.lose(nodeOf(dead), 'killed')
    const successor = await successorOf(scene, history, nameOf(dead))
    assert.notEqual(nodeOf(successor), nodeOf(dead))
    await publishes(scene, 'BTCUSDT', nameOf(successor))
    await scene.kubelet.restore(nodeOf(dead))
    await scene.live('BTCUSDT', { not: [nameOf(dead)] })

    await scene.delete('majors')
    await scene.gone()
    assert.notDeepEqual(overlapping(await manifestsBy(scene, 'BTCUSDT', nameOf(successor))), [])
    // the dead one may have had nothing in the bucket yet
    assert.ok((await scene.judge('BTCUSDT')).runs >= 1)
  })

  it('a node that is cut off while its process runs: replaced; what returns later was published by both, lies in marked windows, and verify is clean', async (context) => {
    const scene = await Scene.open(context, {
      settings: { times: LOST },
      kubelet: { livenessFailures: Number.POSITIVE_INFINITY },
    })
    const history = await PodHistory.open(context, scene.cluster.api, scene.namespace)
    await scene.apply('majors', { guards: CALM })
    const lost = await scene.live('BTCUSDT')

    scene.kubelet.lose(nodeOf(lost), 'running')
    const successor = await successorOf(scene, history, nameOf(lost))
    assert.notEqual(nodeOf(successor), nodeOf(lost))
    // it records still; from now on it stands, with a window that nobody has seen
    scene.kubelet.kill(nameOf(lost), 'SIGSTOP')
    await publishes(scene, 'BTCUSDT', nameOf(successor))
    scene.kubelet.kill(nameOf(lost), 'SIGCONT')
    await scene.kubelet.restore(nodeOf(lost))
    await scene.live('BTCUSDT', { not: [nameOf(lost)] })

    await scene.delete('majors')
    await scene.gone()
    const [returned = [], follower = []] = await Promise.all(
      [lost, successor].map((pod) => manifestsBy(scene, 'BTCUSDT', nameOf(pod))),
    )
    assert.equal(returned.at(-1)?.final, true)
    assert.equal(overlapping(follower).length, follower.length, 'all that it published is marked')
    const [reached, cut] = [returned.at(-1)?.reached, follower[0]?.cut]
    assert.ok(
      BigInt(reached?.depth?.id ?? 0) > BigInt(cut?.depth?.id ?? 0),
      `both published the same: ${JSON.stringify({ reached, cut })}`,
    )
    assert.ok((await scene.judge('BTCUSDT')).runs >= 2)
  })

  it('kubectl drain: the pod is succeeded at once on another node and hands over, each event once. A node that is out of room: succeeded too; what was unshipped is lost, coverage shows it, an event tells it', async (context) => {
    const times = { handoverSeconds: 30, drainDeadlineSeconds: 5 }
    const scene = await Scene.open(context, { settings: { times } })
    const history = await PodHistory.open(context, scene.cluster.api, scene.namespace)
    await scene.apply('majors', { symbols: SYMBOLS, guards: CALM })
    await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive')

    const drained = await scene.pod('BTCUSDT')
    await scene.drain(drained)
    const successor = await scene.live('BTCUSDT', { not: [nameOf(drained)] })
    assert.notEqual(successor.spec?.nodeName, drained.spec?.nodeName)
    await history.upToDate()
    assert.ok(
      history.startedBefore(nameOf(successor), nameOf(drained)),
      'it did not wait for the old pod to go',
    )

    const evicted = nameOf(await scene.pod('ETHUSDT'))
    await publishes(scene, 'ETHUSDT', evicted)
    scene.kubelet.evict(evicted)
    const replacement = nameOf(await scene.live('ETHUSDT', { not: [evicted] }))
    await publishes(scene, 'ETHUSDT', replacement)
    await waitFor(
      'the loss to be told',
      async () => (await scene.events()).some((event) => event.startsWith(`BacklogLost: ${evicted} `)),
      { deadlineMs: 180_000, show: () => scene.events() },
    )

    await scene.delete('majors')
    await scene.gone()
    assert.equal((await manifestsBy(scene, 'BTCUSDT', nameOf(drained))).at(-1)?.final, true)
    assert.equal((await scene.judge('BTCUSDT')).runs, 2)
    assert.equal((await scene.judge('ETHUSDT')).runs, 2)
    assert.notDeepEqual((await missingSeconds(scene, 'ETHUSDT'))['depth'], 0)
    assert.deepEqual(overlapping(await manifestsOf(scene, 'BTCUSDT')), [])
    assert.notDeepEqual(overlapping(await manifestsOf(scene, 'ETHUSDT')), [])
  })

  it('a capture deleted while store and operator are away: its pods drain by themselves when the store is back, all is shipped', async (context) => {
    const scene = await Scene.open(context)
    await scene.apply('majors', { symbols: SYMBOLS, guards: CALM })
    await scene.until('majors', 'Ready', 'True', 'AllSymbolsLive')
    const pods = new Map<string, string>()
    for (const symbol of SYMBOLS) pods.set(symbol, nameOf(await scene.pod(symbol)))
    for (const [symbol, pod] of pods) await publishes(scene, symbol, pod)

    await scene.s3.kill()
    for (const pod of pods.values()) await scene.says(pod, '"msg":"window sealed"', 2)
    await scene.operator.kill()
    const deletedAt = new Date().toISOString()
    await scene.delete('majors')
    for (const pod of pods.values())
      await waitFor(`${pod} to be on its way`, async () => (await scene.status(pod))['state'] === 'ending', {
        deadlineMs: 180_000,
      })
    assert.equal((await scene.pods()).length, 2, 'nothing goes while it holds something')

    await scene.s3.start()
    await scene.gone()
    for (const [symbol, pod] of pods) {
      await handedOver(scene, symbol, [pod])
      const closed = (await manifestsBy(scene, symbol, pod)).at(-1)?.closed ?? ''
      assert.ok(closed >= deletedAt, `recorded until it was told to end: ${closed}`)
    }
  })
})

describe('pods that fall, and those that follow them', options, () => {
  it('a pod that halts again and again is replaced, drains by annotation and goes; each event once', async (context) => {
    const scene = await Scene.open(context, {
      settings: { limits: { haltsInARow: 2 } },
      kubelet: { backOffMs: 8_000 },
    })
    const history = await PodHistory.open(context, scene.cluster.api, scene.namespace)
    await scene.apply('majors', { guards: CALM })
    const old = nameOf(await scene.live('BTCUSDT'))
    scene.sim.inject('crossed:BTCUSDT@0')
    await waitFor('the first halt', () => history.last(old).restarts === 1, { deadlineMs: 180_000 })
    assert.equal(nameOf(await scene.live('BTCUSDT')), old, 'once is restarted in place')
    scene.sim.inject('crossed:BTCUSDT@0')
    const successor = nameOf(await scene.live('BTCUSDT', { not: [old] }))
    await history.upToDate()
    assert.deepEqual(history.pods('BTCUSDT'), [old, successor])
    assert.equal(history.last(old).drain, 'true')
    assert.ok(history.liveWhenDrained(old).includes(successor), 'asked to drain after its successor was live')
    await publishes(scene, 'BTCUSDT', successor)
    await scene.delete('majors')
    await scene.gone()
    assert.equal((await manifestsBy(scene, 'BTCUSDT', old)).at(-1)?.final, true)
    assert.deepEqual(overlapping(await manifestsOf(scene, 'BTCUSDT')), [])
    // two of the old pod, and perhaps none of the start that only drained
    assert.ok((await scene.judge('BTCUSDT')).runs >= 3)
  })

  it('a roll-out while the store is away for longer than any grace: the old pod keeps what it holds, and ships it when the store is back', async (context) => {
    const scene = await Scene.open(context, { settings: { times: { terminationGraceSeconds: 3 } } })
    const history = await PodHistory.open(context, scene.cluster.api, scene.namespace)
    await scene.apply('majors', { guards: CALM })
    const old = nameOf(await scene.live('BTCUSDT'))
    await publishes(scene, 'BTCUSDT', old)
    await scene.s3.kill()
    await scene.patch('majors', { guards: { ...CALM, auditSeconds: 300 } })
    const successor = nameOf(await successorOf(scene, history, old))
    // two windows later the grace is long over
    await waitFor(
      'two closed windows of the successor',
      async () => {
        const { spool } = Waiting.parse(await scene.status(successor))
        return spool.windowsWaiting >= 2
      },
      { deadlineMs: 180_000, everyMs: 200 },
    )
    await history.upToDate()
    assert.equal(history.last(old).gone, false)

    await scene.s3.start()
    await scene.live('BTCUSDT', { not: [old] })
    // a delete would leave it no more than the grace
    await scene.patch('majors', { suspend: true })
    await scene.gone()
    await handedOver(scene, 'BTCUSDT', [old, successor])
  })

  it('a predecessor that is killed in the middle of a hand-over starts again with its spool, and the successor waits for it', async (context) => {
    const scene = await Scene.open(context)
    const history = await PodHistory.open(context, scene.cluster.api, scene.namespace)
    await scene.apply('majors', { guards: CALM })
    const old = nameOf(await scene.live('BTCUSDT'))
    await scene.patch('majors', { guards: { ...CALM, auditSeconds: 300 } })
    await waitFor('a successor', () => history.pods('BTCUSDT').length === 2, {
      deadlineMs: 180_000,
      everyMs: 5,
    })
    scene.kubelet.kill(old, 'SIGKILL')
    const successor = nameOf(await scene.live('BTCUSDT', { not: [old] }))
    await publishes(scene, 'BTCUSDT', successor)
    await scene.delete('majors')
    await scene.gone()
    const manifests = await manifestsOf(scene, 'BTCUSDT')
    assert.deepEqual(overlapping(manifests), [])
    assert.equal(manifests.filter(({ writer }) => writer.pod === old).at(-1)?.final, true)
    await scene.judge('BTCUSDT')
  })
})

const Waiting = z.looseObject({ spool: z.looseObject({ windowsWaiting: z.number() }) })

type Pod = Awaited<ReturnType<Scene['live']>>

function nodeOf(pod: Pod): string {
  return pod.spec?.nodeName ?? ''
}

/** The live pod that follows this one, whatever the old one does meanwhile. */
async function successorOf(scene: Scene, history: PodHistory, old: string): Promise<Pod> {
  return await waitFor(
    `a live successor of ${old}`,
    async () => {
      const own = (await scene.pods('BTCUSDT')).find((pod) =>
        history.last(nameOf(pod)).predecessor.startsWith(`${old}/`),
      )
      return own !== undefined && history.last(nameOf(own)).live ? own : undefined
    },
    { deadlineMs: 180_000, everyMs: 100, show: () => history.moments.slice(-8) },
  )
}
