/**
 * What a session may claim, written by hand: proven silences, suspects over several windows, levels that are given up,
 * reasons. Each history is right as it stands; each lie about it shows.
 */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { END_REASONS, HALT_EXIT_CODES, type HaltReason } from '../../api/reasons.ts'
import { keyOfManifest, type Manifest, serialiseManifest } from '../../capture/ship/mod.ts'
import { rewrite, rewriteCoverage, there } from './damage.ts'
import { ASKS, BIDS, joined, right, writeHistory } from './history.ts'
import { changeRow, keyIn, seconds, useScenario, windowOf } from './scenario.ts'
import { BOOKS, Scribe } from './scribe.ts'
import { RUN_A, START_US, sha256 } from './world.ts'

const s = useScenario({ made: false })
const written = (tell: (scribe: Scribe) => Promise<unknown> | unknown) => writeHistory(s, tell)

describe('proven silence', () => {
  test('a book is live from its snapshot alone, over windows, and its first event meets it', async () => {
    const made = await written(async (scribe) => {
      scribe.snapshot(100n, BIDS, ASKS).trade().wait(8).silent(BOOKS, 'depth', 'trades').wait(2)
      await scribe.rotate()
      await scribe.wait(10).silent(BOOKS, 'depth').rotate()
      scribe
        .wait(3)
        .delta(110n, [[99, 2]], [], 93n)
        .wait(1)
        .delta(115n, [], [])
        .trade()
    })
    right(made)
    for (const stream of [BOOKS, 'depth']) assert.equal(seconds(made.report, stream, 'proven'), 24)
    assert.equal(seconds(made.report, 'trades', 'missing'), 0)
  })

  test('in one window; coverage may reach beyond the last row, up to the window’s end', async () => {
    const made = await written((scribe) => {
      scribe
        .snapshot(100n, BIDS, ASKS)
        .wait(6)
        .silent(BOOKS, 'depth')
        .wait(1)
        .delta(110n, [], [], 93n)
        .wait(7)
      scribe.silent(BOOKS, 'depth')
    })
    right(made)
    assert.equal(seconds(made.report, 'depth', 'proven'), 14)
  })

  const silentRun = async () =>
    await written(async (scribe) => {
      scribe.snapshot(100n, BIDS, ASKS).trade().mark().wait(8).silent(BOOKS, 'depth', 'trades').wait(2)
      await scribe.rotate()
      await scribe.wait(10).rotate()
    })

  for (const [what, stream, change, detail] of [
    ['the book stands at another id than it claims', 'depth', { prev_id: '105', last_id: '105' }, /105/],
    [
      'it claims time behind the window’s end',
      'depth',
      { to: '2026-11-22T12:00:10.500000Z' },
      /window was closed/,
    ],
    [
      'a mark price claims time without a frame',
      'mark_price',
      { to: '2026-11-22T12:00:09.000000Z' },
      /its last row/,
    ],
    ['it ends before it begins', 'trades', { to: '2026-11-22T11:59:59.000000Z' }, /trades/],
  ] as const) {
    test(`coverage_mismatch: ${what}`, async () => {
      const { place, manifests } = await silentRun()
      await rewriteCoverage(place, windowOf(manifests, 0), (row) => row.of_stream === stream, change)
      await s.expectOnly(place, 'coverage_mismatch', keyIn(manifests, 0, 'coverage'), detail)
    })
  }

  test('coverage_mismatch: a window without a row claims time or ids of its own', async () => {
    for (const [stream, change] of [
      ['mark_price', { to: '2026-11-22T12:00:19.000000Z' }],
      ['trades', { prev_id: '5009', last_id: '5009' }],
    ] as const) {
      const { place, manifests } = await silentRun()
      await rewriteCoverage(place, windowOf(manifests, 1), (row) => row.of_stream === stream, change)
      await s.expectOnly(place, 'coverage_mismatch', keyIn(manifests, 1, 'coverage'))
    }
  })

  test('chain_broken: the first event behind a snapshot does not meet it', async () => {
    const made = await written((scribe) =>
      scribe.snapshot(100n, BIDS, ASKS).wait(6).delta(110n, [], [], 101n),
    )
    assert.match(
      there(made.report.problems.find(({ kind }) => kind === 'chain_broken')).detail,
      /chains to 101/,
    )
  })
})

describe('suspect', () => {
  /** Windows of 10 s: joined at 0 s, audited at 12 s, and wrong at 35 s. */
  async function wrong(scribe: Scribe, by: 'audit_mismatch' | 'CrossedBook' | 'EmptyBook'): Promise<void> {
    scribe.snapshot(100n, BIDS, ASKS, undefined, 90n).delta(110n, [], [], 90n).wait(10)
    await scribe.rotate()
    scribe.wait(2).delta(120n, [], [])
    scribe.audit(scribe.bids.sorted(), scribe.asks.sorted()).wait(8)
    await scribe.rotate()
    await scribe.wait(5).delta(130n, [], []).wait(5).rotate()
    scribe
      .wait(5)
      .delta(140n, [], [])
      .suspect(120n, START_US + 12e6, by)
      .wait(1)
  }

  for (const by of ['audit_mismatch', 'CrossedBook', 'EmptyBook'] as const) {
    test(`${by}: withdraws what was proven since the last audit, over several windows`, async () => {
      const made = await written((scribe) => wrong(scribe, by))
      right(made)
      for (const stream of [BOOKS, 'depth']) {
        assert.deepEqual(
          (['proven', 'suspect', 'missing'] as const).map((state) => seconds(made.report, stream, state)),
          [12, 23, 23],
        )
      }
    })
  }

  test('what is joined behind it is proven, though its first event chains to the doubted ones', async () => {
    const made = await written(async (scribe) => {
      await wrong(scribe, 'audit_mismatch')
      scribe.snapshot(145n, BIDS, ASKS, undefined, 140n).delta(150n, [], [], 140n).wait(9)
      await scribe.delta(160n, [], []).rotate()
      scribe.wait(3).delta(170n, [], [])
    })
    right(made)
    // 12 s before, 12 s behind, and in between the second from the mistake to the new book
    assert.equal(seconds(made.report, 'depth', 'proven'), 24)
    assert.equal(seconds(made.report, 'depth', 'suspect'), 23)
    assert.equal(seconds(made.report, 'depth', 'missing'), 24)
  })

  test('over midnight: each day has its share', async () => {
    const place = await s.fresh()
    const scribe = new Scribe(place, RUN_A, START_US + 12 * 3600e6 - 20e6)
    scribe.snapshot(100n, BIDS, ASKS, undefined, 90n).delta(110n, [], [], 90n).wait(5)
    const auditedUs = scribe.nowUs
    scribe.delta(120n, [], []).wait(15)
    await scribe.rotate()
    scribe.wait(5).delta(130n, [], []).suspect(120n, auditedUs, 'audit_mismatch')
    await scribe.stop()
    const { problems, coverage } = await s.verify(place)
    assert.deepEqual(problems, [])
    const depth = coverage.filter(({ stream }) => stream === 'depth')
    assert.deepEqual(
      depth.map(({ seconds: { proven, suspect, missing } }) => [proven, suspect, missing]),
      [
        [5, 15, 15],
        [0, 5, 5],
      ],
    )
  })

  test('coverage_mismatch: it withdraws less than up to the end', async () => {
    const made = await written((scribe) => wrong(scribe, 'CrossedBook'))
    const pick = (row: Manifest['coverage'][number]) => row.state === 'suspect' && row.of_stream === 'depth'
    await rewriteCoverage(made.place, windowOf(made.manifests, 3), pick, { last_id: '130' })
    await s.expectOnly(made.place, 'coverage_mismatch', keyIn(made.manifests, 3, 'coverage'), /suspect/)
  })
})

describe('levels that are given up', () => {
  const cutRun = async () =>
    await written((scribe) => {
      scribe.snapshot(100n, BIDS, ASKS, undefined, 90n).delta(110n, [], [], 90n).wait(1)
      scribe
        .cut(98, 103)
        .delta(120n, [[97, 9]], [[105, 1]])
        .wait(1)
        .delta(130n, [[96, 9]], [[102, 0]])
    })

  test('a reach that moves inwards takes the levels behind it along', async () => {
    const made = await cutRun()
    right(made)
    const change = changeRow(2, (row) => ({ ...row, bid_price_2: 97, bid_qty_2: 9, bid_levels_proven: 3n }))
    await rewrite(made.place, windowOf(made.manifests, 0), BOOKS, change)
    await s.expectOnly(made.place, 'book_mismatch', keyIn(made.manifests, 0, BOOKS), /bid_levels_proven is 3/)
  })

  for (const [what, change] of [
    ['bids', { bid_reach: 97 }],
    ['asks', { ask_reach: 104 }],
    ['bids, without a limit', { bid_reach: 0 }],
    ['asks, without a limit', { ask_reach: Number.POSITIVE_INFINITY }],
  ] as const) {
    test(`book_mismatch: a reach that moves outwards without a new book: ${what}`, async () => {
      const { place, manifests } = await cutRun()
      await rewrite(
        place,
        windowOf(manifests, 0),
        'depth',
        changeRow(3, (row) => ({ ...row, ...change })),
      )
      await s.expectOnly(place, 'book_mismatch', keyIn(manifests, 0, 'depth'), /reach goes from .* out to/)
    })
  }
})

describe('reasons', () => {
  test('an interval may end for any reason of the list', async () => {
    const reasons = [...END_REASONS, ...(Object.keys(HALT_EXIT_CODES) as HaltReason[])]
    for (const reason of reasons) right(await written((scribe) => joined(scribe).end(reason, BOOKS, 'depth')))
  })

  test('manifest_unreadable: for no other, though its hash agrees', async () => {
    const { place, manifests } = await written((scribe) => joined(scribe))
    const manifest = windowOf(manifests, 0)
    const text = serialiseManifest(manifest).toString().replaceAll('"stopped"', '"bored"')
    const body = text.slice(0, text.lastIndexOf(',"sha256"'))
    const sealed = `${body},"sha256":"${sha256(Buffer.from(`${body}}`))}"}`
    await writeFile(place.path(keyOfManifest(manifest)), sealed)
    await s.expectOnly(place, 'manifest_unreadable', keyOfManifest(manifest), /ended_by/)
  })
})
