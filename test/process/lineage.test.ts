import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Lineage, type LineageOptions, type Settled } from '../../capture/process/lineage.ts'
import type { Manifest, Positions } from '../../capture/ship/mod.ts'

const RUNS = ['20261122T120000000Z-00000001', '20261122T130000000Z-00000002'] as const
const NEW_RUN = '20261122T140000000Z-00000003'
const NOW_US = Date.UTC(2026, 10, 22, 12, 30) * 1000

function upTo(id: number): Positions {
  return { trades: { id: String(id), time: '2026-11-22T12:00:00.000000Z' } }
}

/** What a window's manifest says, as far as lineages care. */
function sealed(run: string, window: number, reached: Positions): Manifest {
  const part: Pick<Manifest, 'run' | 'window' | 'closed' | 'reached'> = {
    ...{ run, window, reached },
    closed: '2026-11-22T12:10:00.000000Z',
  }
  return part as Manifest
}

/** A spool's note, which outlives the processes that open it. */
class Note {
  text: string | undefined
  settled: Settled[] = []

  open(options: Partial<LineageOptions> = {}): Promise<Lineage> {
    return Lineage.open({
      read: async () => this.text,
      write: async (text) => {
        this.text = text
      },
      runs: async () => new Set(RUNS),
      predecessor: undefined,
      settle: async () => this.settled.pop() ?? assert.fail('the predecessor is waited for twice'),
      log: { error: (_fields, message) => assert.fail(message) },
      ...options,
    })
  }
}

const PREDECESSOR = { predecessor: { pod: 'a', uid: '1' } }

describe('lineage', () => {
  it('the first run of a spool has no cut, the next one is cut at what the first published', async () => {
    const note = new Note()
    const lineage = await note.open()
    assert.deepEqual(await lineage.of(RUNS[0]), { predecessor: null, cut: null, overlaps: false })
    await lineage.sealing(sealed(RUNS[0], 0, upTo(7)))
    assert.deepEqual((await (await note.open()).of(RUNS[1])).cut, upTo(7))
  })

  it('the cut of a run stays what it was, however often it is recorded again', async () => {
    const note = new Note()
    const lineage = await note.open()
    await lineage.sealing(sealed(RUNS[0], 0, upTo(7)))
    await lineage.of(RUNS[1])
    await lineage.sealing(sealed(RUNS[1], 0, upTo(9)))
    assert.deepEqual((await lineage.of(RUNS[1])).cut, upTo(7))
    assert.deepEqual((await (await note.open()).of(RUNS[1])).cut, upTo(7))
  })

  it('a successor is cut at what its predecessor published, and waits for that once', async () => {
    const note = new Note()
    note.settled = [{ how: 'final', reached: upTo(5), seconds: 3 }]
    const lineage = await note.open(PREDECESSOR)
    assert.equal(lineage.isWaiting, true)
    assert.deepEqual(await lineage.of(RUNS[0]), { ...PREDECESSOR, cut: upTo(5), overlaps: false })
    assert.equal(lineage.isWaiting, false)
    const again = await note.open(PREDECESSOR)
    assert.deepEqual((await again.of(RUNS[1])).cut, upTo(5))
    assert.equal(again.handoverSeconds, 3)
  })

  it('after a missed deadline every run says that rows may be doubled', async () => {
    const note = new Note()
    note.settled = [{ how: 'deadline', reached: {}, seconds: 900 }]
    const lineage = await note.open(PREDECESSOR)
    assert.deepEqual(await lineage.of(RUNS[0]), { ...PREDECESSOR, cut: null, overlaps: true })
    await lineage.sealing(sealed(RUNS[0], 0, upTo(5)))
    assert.equal((await lineage.of(RUNS[1])).overlaps, true)
  })

  it('a pod that succeeds such a one in order says nothing of the kind: its cut is the last word of that one', async () => {
    const lost = new Note()
    lost.settled = [{ how: 'deadline', reached: upTo(3), seconds: 900 }]
    const second = await lost.open({ predecessor: { pod: 'a', uid: '1' } })
    assert.equal((await second.of(RUNS[0])).overlaps, true)
    await second.sealing(sealed(RUNS[0], 0, upTo(5)))
    const { lineage, reached } = await second.closing(() => NEW_RUN, NOW_US)
    assert.equal(lineage.overlaps, true)

    const predecessor = { pod: 'b', uid: '2' }
    const third = new Note()
    third.settled = [{ how: 'final', reached, seconds: 1 }]
    const made = await (await third.open({ predecessor })).of(RUNS[1])
    assert.deepEqual(made, { predecessor, cut: upTo(5), overlaps: false })
  })

  it('closing: the next window of the latest run, the same one until something else is sealed', async () => {
    const note = new Note()
    const lineage = await note.open()
    await lineage.sealing(sealed(RUNS[0], 3, upTo(7)))
    const first = await lineage.closing(() => NEW_RUN, NOW_US)
    assert.deepEqual([first.run, first.window, first.atUs], [RUNS[0], 4, NOW_US])
    assert.deepEqual(first.reached, upTo(7))
    const again = await note.open()
    assert.equal(again.isClosed, false)
    const second = await again.closing(() => NEW_RUN, NOW_US + 5)
    assert.deepEqual(second, first, 'it may be committed already')
    await again.closed()
    assert.equal((await note.open()).isClosed, true)
  })

  it('closing: a pod that published nothing says so in a run of its own', async () => {
    const closing = await (await new Note().open()).closing(() => NEW_RUN, NOW_US)
    assert.deepEqual([closing.run, closing.window, closing.reached], [NEW_RUN, 0, {}])
  })

  it('a pod that goes on after its last word says that rows may be doubled, and closes anew', async () => {
    const note = new Note()
    const lineage = await note.open()
    await lineage.sealing(sealed(RUNS[0], 0, upTo(7)))
    await lineage.closing(() => NEW_RUN, NOW_US)
    await lineage.closed()
    const again = await note.open()
    assert.deepEqual(await again.of(RUNS[1]), { predecessor: null, cut: upTo(7), overlaps: true })
    await again.sealing(sealed(RUNS[1], 0, upTo(9)))
    assert.equal(again.isClosed, false)
    const closing = await again.closing(() => NEW_RUN, NOW_US)
    assert.deepEqual([closing.run, closing.window, closing.lineage.overlaps], [RUNS[1], 1, true])
  })

  it('a damaged note is told, and the capture goes on', async () => {
    const note = new Note()
    note.text = '{"format":1'
    const told: string[] = []
    const lineage = await note.open({ log: { error: (_fields, message) => told.push(message) } })
    assert.match(told.join(), /the note of what was published is damaged/)
    assert.equal((await lineage.of(RUNS[0])).cut, null)
  })
})
