import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { planOf } from './plan.ts'
import { live } from './world.ts'

const SEEDS = 15

/** Every segment that a seed leaves on its disk, by name, hashed. */
async function hashesOf(seed: number): Promise<Record<string, string>> {
  const { capture } = await live(planOf(seed))
  const { disk } = capture
  return Object.fromEntries(
    disk.paths.map((path) => [path, createHash('sha256').update(disk.read(path)).digest('hex')]),
  )
}

describe('virtual time', () => {
  it('the same seed gives the same bytes of every segment; another seed gives others', async () => {
    const seen = new Set<string>()
    for (let seed = 1; seed <= SEEDS; seed++) {
      const first = await hashesOf(seed)
      // many worlds at once do not disturb each other: nothing waits for the machine
      const [again] = await Promise.all([hashesOf(seed), hashesOf(seed + 1)])
      assert.deepEqual(again, first, `seed ${seed}`)
      assert.ok(Object.keys(first).length > 0, `seed ${seed} journals`)
      seen.add(JSON.stringify(first))
    }
    assert.equal(seen.size, SEEDS)
  })
})
