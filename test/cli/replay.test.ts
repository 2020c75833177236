import assert from 'node:assert/strict'
import { link, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { SegmentReader, SegmentWriter } from '../../capture/journal/mod.ts'
import { call, filesBelow, L2cap, manifestsOf, simulated, type TestContext, temporary } from './l2cap.ts'

/** Writes a segment again, whole and sound, with a trailer that claims another end than its inputs lead to. */
async function withAnotherEnd(segment: string, dir: string): Promise<string> {
  const reader = await SegmentReader.open(segment)
  const { header, checkpoint } = reader
  assert.ok(header !== undefined && checkpoint !== undefined)
  const writer = SegmentWriter.open({ dir, header, checkpoint, onError: (error) => assert.fail(error) })
  const batches = reader.batches()
  for (let next = await batches.next(); ; next = await batches.next()) {
    if (next.done !== true) {
      for (const input of next.value) writer.append(input)
      continue
    }
    assert.equal(next.value.end, 'sealed')
    await writer.seal({ closedAt: header.openedAt + 1, stateHash: '0'.repeat(64), reason: 'rotation' })
    return join(dir, basename(segment))
  }
}

/** Captures for a few seconds; the segments are kept by a second name, since they go when they are committed. */
async function captured(t: TestContext): Promise<{ data: string; segments: string[]; directory: string }> {
  const [sim, directory] = [await simulated(t), await temporary(t)]
  const [data, spool, kept] = ['data', 'spool', 'kept'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ]
  const journal = join(spool, 'BinanceUsdm', 'BTCUSDT', 'journal')
  await mkdir(kept)
  const what = ['run', '--exchange', 'BinanceUsdm', '--symbols', 'BTCUSDT', '--rotation-seconds', '1']
  const run = new L2cap(t, [...what, '--out', data, '--spool', spool, '--endpoints', sim.endpoints])
  const keep = async () => {
    for (const name of await readdir(journal)) {
      await link(join(journal, name), join(kept, name)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST' && error.code !== 'ENOENT') throw error
      })
    }
  }
  await run.until('the spool is there', () => run.events('status').length > 0)
  // a window that was committed between two looks has no second name
  while (run.events('committed').length < 2 || (await readdir(kept)).length < 3) {
    await keep()
    await run.until('another look', () => true)
    await new Promise((turn) => setTimeout(turn, 20))
  }
  await keep()
  run.child.kill('SIGTERM')
  assert.equal(await run.ended, 0, run.stderr)
  return {
    data,
    directory,
    segments: (await readdir(kept))
      .sort()
      .slice(0, 3)
      .map((name) => join(kept, name)),
  }
}

test('replay: segments give the very objects and manifests that the capture published, and stay as they are', async (t) => {
  const { data, directory, segments } = await captured(t)
  assert.ok(segments.length >= 2)
  const before = await Promise.all(segments.map((segment) => readFile(segment)))
  const out = join(directory, 'replayed')
  const { code, stdout, stderr } = await call(t, ['replay', ...segments, '--out', out])
  assert.equal(code, 0, stderr)
  assert.deepEqual(await Promise.all(segments.map((segment) => readFile(segment))), before)

  const published = new Map(
    (await manifestsOf(data)).map((manifest) => [`${manifest.run}-${manifest.window}`, manifest]),
  )
  const replayed = await manifestsOf(out)
  assert.equal(replayed.length, segments.length)
  for (const manifest of replayed) {
    assert.deepEqual(
      manifest,
      published.get(`${manifest.run}-${manifest.window}`),
      'the same hashes, rows and coverage',
    )
    for (const { key } of manifest.objects) {
      assert.ok((await readFile(join(out, key))).equals(await readFile(join(data, key))), key)
      assert.ok(stdout.includes(key), 'what it made is told')
    }
  }

  await t.test(
    'again into the same directory changes nothing; what differs there is never written over',
    async (t) => {
      assert.equal((await call(t, ['replay', ...segments, '--out', out])).code, 0)
      const [object] = (await filesBelow(out)).filter((file) => file.endsWith('.parquet'))
      await writeFile(object ?? '', 'something else')
      const { code, stderr } = await call(t, ['replay', ...segments, '--out', out])
      assert.equal(code, 1)
      assert.match(stderr, /is there and differs; nothing is written/)
      assert.equal(await readFile(object ?? '', 'utf8'), 'something else')
    },
  )

  await t.test('a sealed segment can be inspected', async (t) => {
    const { code, stdout } = await call(t, ['inspect', segments[0] ?? ''])
    assert.equal(code, 0)
    assert.ok(stdout.includes('BTCUSDT'), stdout)
  })

  await t.test(
    'a segment that does not replay to its own end is said, and nothing of it is written',
    async (t) => {
      const directory = await temporary(t)
      const file = await withAnotherEnd(segments[0] ?? '', directory)
      const { code, stdout, stderr } = await call(t, ['replay', file, '--out', join(directory, 'out')])
      assert.deepEqual([code, stdout], [1, ''], stderr)
      assert.match(stderr, /ends in state [0-9a-f]{64}, its trailer says 0{64}; nothing of it is written/)
      assert.deepEqual(await filesBelow(join(directory, 'out')), [])
    },
  )

  await t.test('an empty segment, and a file that is none, are said and give exit code 1', async (t) => {
    const directory = await temporary(t)
    const empty = join(directory, basename(segments[0] ?? ''))
    const other = join(directory, 'other.journal')
    await writeFile(empty, '')
    await writeFile(other, 'this is no journal at all, whatever its name says')
    for (const file of [empty, other]) {
      const { code, stdout, stderr } = await call(t, ['replay', file, '--out', join(directory, 'out')])
      assert.deepEqual([code, stdout], [1, ''], stderr)
      assert.match(stderr, /^l2cap: .*nothing was captured in it, nothing is written\n$/)
    }
  })
})
