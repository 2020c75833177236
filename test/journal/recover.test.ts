import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { cutTornTail, recoverSegments, segmentName } from '../../capture/journal/mod.ts'
import { sealedBytes } from './faulty.ts'
import { boundaries, EACH_KIND, RUN, readAll, temporaryDir, writeSegment } from './helpers.ts'

function spool(t: TestContext): { spoolDir: string; dir: string } {
  const spoolDir = temporaryDir(t)
  const dir = join(spoolDir, 'journal')
  mkdirSync(dir)
  return { spoolDir, dir }
}

test('recover: segments come by run and window, with what is cheap to know; strangers are named', async (t) => {
  const { dir } = spool(t)
  const good = await sealedBytes(EACH_KIND)
  const earlier = '20251122T120457123Z-ffffffff'
  writeFileSync(join(dir, segmentName(RUN, 1_000_000)), good.subarray(0, -1))
  writeFileSync(join(dir, segmentName(RUN, 10)), '')
  writeFileSync(join(dir, segmentName(RUN, 9)), good)
  writeFileSync(join(dir, segmentName(earlier, 3)), good)
  writeFileSync(join(dir, 'notes.txt'), 'mine')
  writeFileSync(join(dir, `${RUN}-9.journal`), good)
  mkdirSync(join(dir, segmentName(RUN, 11)))
  const { segments, foreign } = await recoverSegments(dir)
  assert.deepEqual(
    segments.map(({ run, window, bytes, sealed }) => ({ run, window, bytes, sealed })),
    [
      { run: earlier, window: 3, bytes: good.length, sealed: true },
      { run: RUN, window: 9, bytes: good.length, sealed: true },
      { run: RUN, window: 10, bytes: 0, sealed: false },
      { run: RUN, window: 1_000_000, bytes: good.length - 1, sealed: false },
    ],
  )
  assert.deepEqual(foreign.map((path) => basename(path)).sort(), [
    segmentName(RUN, 11),
    `${RUN}-9.journal`,
    'notes.txt',
  ])
  assert.equal(readdirSync(dir).length, 7, 'nothing was deleted')
})

test('recover: a torn tail is cut at the first bad frame and kept aside, from any offset', async (t) => {
  const { spoolDir, dir } = spool(t)
  const good = await sealedBytes(EACH_KIND)
  const ends = boundaries(good)
  for (let length = 1; length < good.length; length += 7) {
    const path = writeSegment(dir, good.subarray(0, length))
    const goodBytes = ends.findLast((end) => end <= length) ?? 0
    const result = await cutTornTail(path)
    if (goodBytes === length) {
      assert.equal(result.done, 'nothing')
      continue
    }
    assert.ok(result.done === 'cut')
    assert.deepEqual([result.goodBytes, result.tailBytes], [goodBytes, length - goodBytes])
    assert.equal(result.aside, join(spoolDir, 'torn', `${segmentName(RUN, 0)}.${goodBytes}.torn`))
    assert.deepEqual(readFileSync(result.aside), good.subarray(goodBytes, length))
    assert.deepEqual(readFileSync(path), good.subarray(0, goodBytes))
    assert.deepEqual((await cutTornTail(path)).done, 'nothing')
  }
})

test('recover: killed between any two steps of a cut, the next start ends with the same files', async (t) => {
  const { spoolDir, dir } = spool(t)
  const torn = (await sealedBytes(EACH_KIND)).subarray(0, -5)
  const path = writeSegment(dir, torn)
  const done = await cutTornTail(path)
  assert.ok(done.done === 'cut')
  const { aside, goodBytes } = done
  const cut = readFileSync(path)
  // Each state on disk that a kill can leave: half a copy, a whole copy not yet renamed, a copy but no cut.
  const states: (() => void)[] = [
    () => writeFileSync(`${aside}.tmp`, torn.subarray(goodBytes, goodBytes + 2)),
    () => writeFileSync(`${aside}.tmp`, torn.subarray(goodBytes)),
    () => writeFileSync(aside, torn.subarray(goodBytes)),
  ]
  for (const [n, leave] of states.entries()) {
    writeFileSync(path, torn)
    leave()
    assert.equal((await cutTornTail(path)).done, 'cut', `state ${n}`)
    assert.deepEqual(readFileSync(path), cut)
    assert.deepEqual(readFileSync(aside), torn.subarray(goodBytes))
    assert.deepEqual(readdirSync(join(spoolDir, 'torn')), [basename(aside)])
  }
})

test('recover: sealed and corrupt segments, and files of others, are not touched', async (t) => {
  const { dir } = spool(t)
  const good = await sealedBytes(EACH_KIND)
  const path = writeSegment(dir, good)
  assert.equal((await cutTornTail(path)).done, 'nothing')
  const bad = Buffer.from(good)
  bad[300] = (bad[300] ?? 0) ^ 1
  const corrupt = writeSegment(dir, bad)
  const result = await cutTornTail(corrupt)
  assert.ok(result.done === 'nothing' && result.end.end === 'corrupt')
  assert.deepEqual(readFileSync(corrupt), bad)
  const foreign = join(dir, 'notes.journal')
  writeFileSync(foreign, 'torn?')
  await assert.rejects(cutTornTail(foreign), { code: 'JournalMisuse' })
  assert.equal(statSync(foreign).size, 5)
})

test('recover: a tail of many megabytes is moved aside whole', async (t) => {
  const { dir } = spool(t)
  const good = await sealedBytes(EACH_KIND)
  const path = writeSegment(dir, good.subarray(0, boundaries(good)[4]))
  truncateSync(path, 5_000_000)
  const result = await cutTornTail(path)
  assert.ok(result.done === 'cut')
  assert.equal(statSync(result.aside).size, 5_000_000 - result.goodBytes)
  assert.equal((await readAll(path)).inputs.length, 2)
})
