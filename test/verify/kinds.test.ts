/** Each kind of problem that a report names: one damage, one object, that kind and no other. And damage of any byte. */
import assert from 'node:assert/strict'
import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { PROBLEM_KINDS } from '../../capture/verify/mod.ts'
import { DAMAGED, damagesOf } from './damages.ts'
import { keyIn, useScenario } from './scenario.ts'

const s = useScenario()
const of = (stream: string) => keyIn(s.runA, DAMAGED, stream)

describe('each kind of problem', () => {
  test('a bucket as it was written has none', async () => {
    assert.deepEqual((await s.verify(s.origin)).problems, [])
  })

  for (const { kind, what, damage } of damagesOf(s)) {
    test(`${kind}: ${what}`, async () => {
      const place = await s.copy()
      const key = await damage(place)
      await s.expectOnly(place, kind, key)
    })
  }

  test('object_altered: two objects swapped are two problems', async () => {
    const place = await s.copy()
    const [a, b] = [place.path(of('trades')), place.path(keyIn(s.runA, 0, 'trades'))]
    await rename(a, `${a}.tmp`)
    await rename(b, a)
    await rename(`${a}.tmp`, b)
    const { problems } = await s.verify(place)
    assert.deepEqual(problems.map(({ key }) => place.path(key)).sort(), [a, b].sort())
    for (const { kind } of problems) assert.match(kind, /^object_(size|altered)$/)
  })

  test('no kind is without its damage', () => {
    assert.deepEqual(new Set(damagesOf(s).map(({ kind }) => kind)), new Set(PROBLEM_KINDS))
  })
})

test('any byte of any file: whatever it becomes, exactly this file is reported', async (t) => {
  const seed = Number(process.env.FC_SEED ?? Date.now() % 2 ** 31)
  t.diagnostic(`FC_SEED=${seed}`)
  const place = await s.copy()
  const entries = await readdir(place.root, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const parameters = [
    fc.nat(files.length - 1),
    fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    fc.integer({ min: 1, max: 255 }),
  ] as const
  const property = fc.asyncProperty(...parameters, async (which, where, mask) => {
    const file = files[which] ?? ''
    const bytes = await readFile(file)
    const damaged = Buffer.from(bytes)
    const at = Math.floor(where * bytes.length)
    damaged.writeUInt8(bytes.readUInt8(at) ^ mask, at)
    await writeFile(file, damaged)
    try {
      const { ok, problems } = await s.verify(place)
      assert.equal(ok, false)
      assert.deepEqual(
        problems.map(({ key }) => place.path(key)),
        [file],
      )
    } finally {
      await writeFile(file, bytes)
    }
  })
  await fc.assert(property, { seed, numRuns: 30 })
})
