import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { waitFor } from '../support/wait.ts'
import { clusterProblem, type WatchEvent } from './mod.ts'
import { base64, follow, isNamed, names, openScene, type Stored } from './proxy-scene.ts'

const skip = clusterProblem() || false

describe('fault proxy, watches and views', { skip }, () => {
  describe('watches', () => {
    it('freeze: accepts, and sends nothing', async (t) => {
      const { proxy, api, secrets, make } = await openScene(t)
      const rule = proxy.strike({ when: { verbs: ['watch'] }, times: 1, do: 'freeze' })
      const frozen = follow(t, api, secrets)
      await rule.whenFired()
      const other = follow(t, api, secrets)
      await make('one')
      await other.has('ADDED one')
      assert.deepEqual(frozen.seen, [])
      rule.remove()
      await assert.rejects(frozen.end)
    })

    it('freeze after some events: an open watch goes silent', async (t) => {
      const { proxy, api, secrets, make } = await openScene(t)
      const rule = proxy.tamper({ after: 2, times: 1, do: 'freeze' })
      const frozen = follow(t, api, secrets)
      for (const name of ['a', 'b', 'c']) await make(name)
      await rule.whenFired()
      await waitFor('what was sent before to arrive', () => frozen.seen.length >= 2)
      assert.equal(frozen.seen.length, 2)
    })

    it('drop: the events of one object are hidden, and those of others are not', async (t) => {
      const { proxy, api, secrets, make, direct } = await openScene(t)
      const rule = proxy.tamper({ pick: ({ object }) => object.metadata?.name === 'hidden', do: 'drop' })
      const watch = follow(t, api, secrets)
      await make('hidden')
      await make('shown')
      await watch.has('ADDED shown')
      await direct.delete(`${secrets}/hidden`)
      await rule.whenFired(2)
      rule.remove()
      await make('last')
      await watch.has('ADDED last')
      assert.ok(!watch.seen.some((line) => line.endsWith('hidden')))
    })

    it('duplicate and swap: what was sent once comes twice, and what came first comes last', async (t) => {
      // what follows it comes for certain, however late
      const { proxy, api, secrets, make } = await openScene(t, { swapWaitsMs: 120_000 })
      const named = (name: string) => ({ pick: isNamed(name) })
      proxy.tamper({ ...named('a'), do: 'duplicate' })
      proxy.tamper({ ...named('b'), do: 'swap' })
      const watch = follow(t, api, secrets)
      await watch.opened(proxy)
      for (const name of ['a', 'b', 'c']) await make(name)
      await watch.has('ADDED b')
      assert.deepEqual(watch.seen, ['ADDED a', 'ADDED a', 'ADDED c', 'ADDED b'])
    })

    it('swap: an event that nothing follows comes all the same', async (t) => {
      const { proxy, api, secrets, make } = await openScene(t)
      const rule = proxy.tamper({ pick: isNamed('alone'), do: 'swap' })
      const watch = follow(t, api, secrets)
      await make('alone')
      await watch.has('ADDED alone')
      assert.equal(rule.fired, 1)
    })

    it('delay: it and what follows come late, in order', async (t) => {
      const { proxy, api, secrets, make } = await openScene(t)
      proxy.tamper({ pick: isNamed('a'), do: { kind: 'delay', ms: 400 } })
      const watch = follow(t, api, secrets)
      await watch.opened(proxy)
      const started = performance.now()
      for (const name of ['a', 'b']) await make(name)
      await watch.has('ADDED b')
      assert.ok(performance.now() - started >= 390)
      assert.deepEqual(watch.seen, ['ADDED a', 'ADDED b'])
    })

    it('truncate: a line ends in its middle', async (t) => {
      const { proxy, api, secrets, make } = await openScene(t)
      proxy.tamper({ pick: isNamed('a'), do: 'truncate' })
      const watch = follow(t, api, secrets)
      await make('a')
      await assert.rejects(watch.end, /ended inside a line/)
      assert.ok(!watch.seen.includes('ADDED a'))
    })

    it('410 in both forms: as an ERROR event, and as the answer', async (t) => {
      const { proxy, api, secrets } = await openScene(t)
      const events: WatchEvent<{ code?: number; reason?: string }>[] = []
      const rule = proxy.strike({ when: { verbs: ['watch'] }, do: 'gone' })
      await api.watch<{ code?: number }>(`${secrets}?watch=1`, (event) => events.push(event), t.signal)
      const [only] = events
      assert.deepEqual(
        [events.length, only?.type, only?.object.code, only?.object.reason],
        [1, 'ERROR', 410, 'Expired'],
      )
      rule.remove()
      proxy.fault({ when: { verbs: ['watch'] }, do: { kind: 'answer', status: 410 } })
      await assert.rejects(
        api.watch(`${secrets}?watch=1`, () => undefined, t.signal),
        { status: 410 },
      )
    })

    it('an ERROR event of another kind comes in the place of an event', async (t) => {
      const { proxy, api, secrets, make } = await openScene(t)
      proxy.tamper({ pick: isNamed('a'), do: { kind: 'error', status: 500, message: 'etcd is away' } })
      const watch = follow(t, api, secrets)
      await make('a')
      await watch.end
      assert.equal(watch.seen.at(-1), 'ERROR 500 etcd is away')
    })

    it('end and cut: open watches end in order, or break', async (t) => {
      const { proxy, api, secrets } = await openScene(t)
      for (const fault of ['end', 'cut'] as const) {
        await waitFor('the watch before to be gone', () => proxy.watches.length === 0)
        const watch = follow(t, api, secrets)
        await watch.opened(proxy)
        const rule = proxy.strike({ do: fault })
        assert.equal(rule.fired, 1)
        if (fault === 'end') await watch.end
        else await assert.rejects(watch.end)
        rule.remove()
      }
    })
  })

  describe('stale view', () => {
    it('lists, reads and watches show what was, and catch up in the end', async (t) => {
      const { proxy, api, secrets, make, direct } = await openScene(t)
      const kept = await make('kept', 'old')
      await make('deleted')
      const watch = follow(t, api, `${secrets}?resourceVersion=${kept.metadata.resourceVersion}`)
      await watch.has('ADDED deleted')
      const view = await proxy.staleView()
      await direct.patch(`${secrets}/kept`, { data: { text: base64('new') } })
      await direct.delete(`${secrets}/deleted`)
      await make('later')

      const read = await api.get<Stored & { kind: string }>(`${secrets}/kept`)
      assert.deepEqual([read.kind, read.data?.['text']], ['Secret', base64('old')])
      await assert.rejects(api.get(`${secrets}/later`), { status: 404 })
      assert.deepEqual(names(await api.list<Stored>(secrets)), ['deleted', 'kept'])
      const page = await api.get<{ items: Stored[]; metadata: { continue: string } }>(`${secrets}?limit=1`)
      const next = await api.list<Stored>(`${secrets}?limit=1&continue=${page.metadata.continue}`)
      assert.deepEqual(names([...page.items, ...next]), ['deleted', 'kept'])
      await view.whenFired(5)
      assert.deepEqual(watch.seen, ['ADDED deleted'])

      view.remove()
      await watch.has('ADDED later')
      assert.deepEqual(watch.seen.slice(1), ['MODIFIED kept', 'DELETED deleted', 'ADDED later'])
      assert.deepEqual(names(await api.list<Stored>(secrets)), ['kept', 'later'])
    })

    it('an older version can be named, and reads alone can be left fresh', async (t) => {
      const { proxy, api, secrets, make } = await openScene(t)
      const before = await proxy.currentVersion()
      await make('one')
      await proxy.staleView({ version: before, when: { verbs: ['list', 'watch'] } })
      assert.deepEqual(names(await api.list<Stored>(secrets)), [])
      await api.get(`${secrets}/one`)
    })
  })
})
