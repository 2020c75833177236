import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { compareVersions, type KubeObject } from '../../../operator/kube/mod.ts'
import { type Change, ObjectStore } from '../../../operator/kube/store.ts'
import { SEED } from '../../exchange/seed.ts'
import { objectOf } from './objects.ts'

function told(changes: readonly Change<KubeObject>[] | undefined): string[] | undefined {
  return changes?.map(
    ({ kind, object }) => `${kind} ${object.metadata?.uid}@${object.metadata?.resourceVersion}`,
  )
}

describe('store', () => {
  it('finds objects by namespace and name, and by UID', () => {
    const store = new ObjectStore<KubeObject>()
    store.replace([objectOf('a', 'u1', 5), objectOf('b', 'u2', 6)])
    assert.equal(store.get('x', 'a')?.metadata?.uid, 'u1')
    assert.equal(store.byUid('u2')?.metadata?.name, 'b')
    assert.equal(store.get('y', 'a'), undefined)
    assert.equal(store.size, 2)
  })

  it('delete and recreate under one name: a deletion and an addition, by watch and by list', () => {
    for (const by of ['watch', 'list']) {
      const store = new ObjectStore<KubeObject>()
      store.replace([objectOf('a', 'old', 5)])
      const next = objectOf('a', 'new', 9)
      const changes = by === 'watch' ? store.put(next) : store.replace([next])
      assert.deepEqual(told(changes), ['deleted old@5', 'added new@9'], by)
      assert.equal(store.byUid('old'), undefined)
      assert.equal(store.get('x', 'a')?.metadata?.uid, 'new')
    }
  })

  it('an event that is older than what is known, or the same again, is no news', () => {
    const store = new ObjectStore<KubeObject>()
    store.replace([objectOf('a', 'u', 100)])
    assert.equal(store.put(objectOf('a', 'u', 99)), undefined)
    assert.equal(store.put(objectOf('a', 'u', 100)), undefined)
    assert.equal(store.byUid('u')?.metadata?.resourceVersion, '100')
    assert.deepEqual(told(store.put(objectOf('a', 'u', 101))), ['updated u@101'])
  })

  it('a late event does not bring back what was deleted', () => {
    const store = new ObjectStore<KubeObject>()
    store.replace([objectOf('a', 'u', 5)])
    assert.deepEqual(told(store.remove(objectOf('a', 'u', 8))), ['deleted u@8'])
    assert.equal(store.put(objectOf('a', 'u', 7)), undefined)
    assert.equal(store.remove(objectOf('a', 'u', 8)), undefined, 'told once')
    assert.equal(store.size, 0)
  })

  it('a late deletion of the predecessor leaves the successor of its name alone', () => {
    const store = new ObjectStore<KubeObject>()
    store.replace([objectOf('a', 'old', 5)])
    store.put(objectOf('a', 'new', 9))
    assert.equal(store.remove(objectOf('a', 'old', 8)), undefined)
    assert.equal(store.get('x', 'a')?.metadata?.uid, 'new')
  })

  it('an object that left the selector may come back with its UID', () => {
    const store = new ObjectStore<KubeObject>()
    store.replace([objectOf('a', 'u', 5)])
    store.remove(objectOf('a', 'u', 6))
    assert.deepEqual(told(store.put(objectOf('a', 'u', 7))), ['added u@7'])
    assert.equal(store.remove(objectOf('a', 'u', 6)), undefined, 'the deletion again, late')
    assert.equal(store.size, 1)
  })

  it('a list is the truth, also where its versions went back', () => {
    const store = new ObjectStore<KubeObject>()
    store.replace([objectOf('a', 'u', 500), objectOf('b', 'v', 501)])
    assert.deepEqual(told(store.replace([objectOf('a', 'u', 20)])), ['deleted v@501', 'updated u@20'])
    assert.deepEqual(store.replace([objectOf('a', 'u', 20)]), [], 'nothing changes, nothing is told')
  })

  it('what is no object is ignored', () => {
    const store = new ObjectStore<KubeObject>()
    for (const bad of [
      {},
      { metadata: { name: 'a' } },
      { metadata: { name: 'a', uid: '', resourceVersion: '1' } },
    ]) {
      assert.equal(store.put(bad), undefined)
      assert.equal(store.remove(bad), undefined)
    }
    assert.deepEqual(store.replace([{}]), [])
  })

  it('versions compare as numbers of any length', () => {
    assert.ok((compareVersions('9', '10') ?? 0) < 0)
    assert.ok((compareVersions('18446744073709551616', '18446744073709551615') ?? 0) > 0)
    assert.equal(compareVersions('7', '7'), 0)
    assert.equal(compareVersions('7', 'x7'), undefined)
    assert.equal(compareVersions('07', '7'), undefined)
  })

  it('property: events in any order, each any number of times, end in the same store', () => {
    const lives = fc.array(
      fc.record({
        name: fc.constantFrom('a', 'b', 'c'),
        updates: fc.integer({ min: 0, max: 3 }),
        ends: fc.boolean(),
      }),
      { maxLength: 8 },
    )
    fc.assert(
      fc.property(lives, fc.array(fc.nat(), { maxLength: 80 }), (histories, picks) => {
        const { events, expected } = history(histories)
        const store = new ObjectStore<KubeObject>()
        // some of them early and twice, then all of them in order
        const early = events.length === 0 ? [] : picks.map((pick) => events[pick % events.length])
        for (const event of [...early, ...events]) {
          if (event === undefined) continue
          if (event.type === 'DELETED') store.remove(event.object)
          else store.put(event.object)
        }
        const stored = store.all().map(({ metadata }) => `${metadata?.uid}@${metadata?.resourceVersion}`)
        assert.deepEqual(stored.sort(), expected)
      }),
      { seed: SEED, numRuns: 500 },
    )
  })
})

interface Life {
  readonly name: string
  readonly updates: number
  readonly ends: boolean
}

/** What a server sends about objects that come and go: a name is free again when its object is deleted. */
function history(lives: readonly Life[]) {
  const events: { readonly type: string; readonly object: KubeObject }[] = []
  const alive = new Map<string, string>()
  let version = 1
  for (const [index, { name, updates, ends }] of lives.entries()) {
    const taken = alive.get(name)
    if (taken !== undefined) events.push({ type: 'DELETED', object: objectOf(name, taken, version++) })
    const uid = `u${index}`
    events.push({ type: 'ADDED', object: objectOf(name, uid, version++) })
    for (let update = 0; update < updates; update++) {
      events.push({ type: 'MODIFIED', object: objectOf(name, uid, version++) })
    }
    if (ends) events.push({ type: 'DELETED', object: objectOf(name, uid, version++) })
    if (ends) alive.delete(name)
    else alive.set(name, uid)
  }
  const newest = new Map<string, string>()
  for (const { object } of events) {
    newest.set(object.metadata?.uid ?? '', object.metadata?.resourceVersion ?? '')
  }
  return { events, expected: [...alive.values()].map((uid) => `${uid}@${newest.get(uid)}`).sort() }
}
