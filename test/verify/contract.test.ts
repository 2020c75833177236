/**
 * What a session may do to the book's rows, written by hand: audits and take-overs. Each history is right as it
 * stands; each lie about it shows.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Row, rewrite, there } from './damage.ts'
import { joined, only, right, writeHistory } from './history.ts'
import { changeRow, keyIn, seconds, useScenario, windowOf } from './scenario.ts'
import { BOOKS, type Scribe } from './scribe.ts'

const s = useScenario({ made: false })
const written = (tell: (scribe: Scribe) => Promise<unknown> | unknown) => writeHistory(s, tell)

describe('audit', () => {
  const wide = {
    bids: [
      [99, 5],
      [98, 2],
      [97, 3],
      [96, 4],
    ],
    asks: [
      [101, 1],
      [102, 6],
      [103, 3],
      [104, 4],
    ],
  } satisfies Record<string, [number, number][]>

  test('its book replaces the rebuilt one, and books are held against its reach from there on', async () => {
    const made = await written((scribe) => {
      joined(scribe).audit(wide.bids, wide.asks, [96, 104]).wait(1)
      // the first level goes: three are proven only because the audit saw the fourth
      scribe.delta(130n, [[99, 0]], [], 120n).wait(1)
    })
    right(made)
    const change = changeRow(2, (row) => ({
      ...row,
      bid_price_2: null,
      bid_qty_2: null,
      bid_levels_proven: 2n,
    }))
    await rewrite(made.place, windowOf(made.manifests, 0), BOOKS, change)
    await s.expectOnly(
      made.place,
      'book_mismatch',
      keyIn(made.manifests, 0, BOOKS),
      /id 130 bid_levels_proven is 2/,
    )
  })

  test('a side that it knows whole has levels that are proven not to exist', async () => {
    right(
      await written((scribe) => {
        joined(scribe).audit(wide.bids.slice(0, 3), wide.asks.slice(0, 3)).wait(1)
        scribe.delta(
          130n,
          [
            [99, 0],
            [98, 0],
          ],
          [],
          120n,
        )
      }),
    )
  })

  for (const [what, bids, detail] of [
    [
      'another quantity',
      [
        [99, 5],
        [98, 2.5],
        [97, 3],
        [96, 4],
      ],
      /id 120 .*bid at 98: the row has 2.5, .* give 2$/,
    ],
    [
      'a level too few',
      [
        [99, 5],
        [97, 3],
        [96, 4],
      ],
      /id 120 .*bid at 98: the row has no level, .* give 2$/,
    ],
    [
      'a level too many',
      [
        [99, 5],
        [98.5, 1],
        [98, 2],
        [97, 3],
        [96, 4],
      ],
      /bid at 98.5: the row has 1, .* give no level/,
    ],
    [
      'the last level of both reaches',
      [
        [99, 5],
        [98, 2],
        [97, 9],
        [96, 4],
      ],
      /bid at 97: the row has 9, .* give 3$/,
    ],
  ] as [string, [number, number][], RegExp][]) {
    test(`book_mismatch: it disagrees with the changes before it: ${what}`, async () => {
      const made = await written((scribe) => joined(scribe).audit(bids, wide.asks, [96, 104]).wait(1))
      only(made, 'book_mismatch', 'depth', detail)
    })
  }

  test('book_mismatch: on the other side', async () => {
    const asks = [
      [101, 1],
      [102, 6],
      [103, 3.5],
    ] as const
    const made = await written((scribe) => joined(scribe).audit(wide.bids, asks, [96, 103]))
    only(made, 'book_mismatch', 'depth', /ask at 103: the row has 3.5, .* give 3$/)
  })

  test('beyond either reach nothing is compared', async () => {
    right(
      await written((scribe) => {
        // the audit reaches less far on one side, further on the other
        joined(scribe)
          .audit(
            [
              [99, 5],
              [98, 2],
            ],
            wide.asks,
            [98, 104],
          )
          .wait(1)
          .delta(130n, [[97, 8]], [], 120n)
      }),
    )
  })

  test('book_mismatch: the audit at the start of a window, against the end of the window before', async () => {
    const made = await written(async (scribe) => {
      joined(scribe).audit(wide.bids, wide.asks, [96, 104]).wait(1)
      await scribe.rotate()
      scribe.delta(130n, [[99, 7]], [], 120n).wait(1)
    })
    right(made)
    const change = changeRow(0, (row) => ({ ...row, bid_qtys: [5, 2, 3, 4.5] }))
    await rewrite(made.place, windowOf(made.manifests, 1), 'depth', change)
    await s.expectOnly(
      made.place,
      'book_mismatch',
      keyIn(made.manifests, 1, 'depth'),
      /bid at 96: the row has 4.5/,
    )
  })

  for (const [what, change, detail] of [
    ['tells a gap', { gap_before: true }, /coverage calls unbroken/],
    ['stands at another id', { update_id: 121n }, /book at id 121 follows a row at 120/],
    ['chains to an event', { prev_update_id: 110n }, /chains to 110, a whole book chains to none/],
  ] as [string, Row, RegExp][]) {
    test(`chain_broken: its row ${what}`, async () => {
      const made = await written((scribe) => {
        joined(scribe).audit(wide.bids, wide.asks, [96, 104]).wait(1).delta(130n, [], [], 120n)
      })
      const edit = changeRow(3, (row) => ({ ...row, ...change }))
      await rewrite(made.place, windowOf(made.manifests, 0), 'depth', edit)
      await s.expectOnly(made.place, 'chain_broken', keyIn(made.manifests, 0, 'depth'), detail)
    })
  }
})

describe('take-over', () => {
  const over = (scribe: Scribe, prevId: bigint, id: bigint, lagSeconds = 0.4) => {
    scribe.connection++
    return scribe.delta(id, [], [[102, 7]], prevId, scribe.nowUs - lagSeconds * 1e6)
  }

  for (const [what, prevId, id] of [
    ['contains the last id', 113n, 125n],
    ['begins at it', 120n, 125n],
  ] as const) {
    test(`the first event of the other connection ${what}; its receive time may dip`, async () => {
      right(
        await written(async (scribe) => {
          over(joined(scribe), prevId, id)
          await scribe
            .wait(1)
            .delta(140n, [[98, 9]], [])
            .wait(1)
            .rotate()
          scribe.delta(150n, [], [])
        }),
      )
    })
  }

  test('right after a rotation, with events that were kept from before it', async () => {
    const made = await written(async (scribe) => {
      await joined(scribe).silent(BOOKS, 'depth').rotate()
      over(scribe, 113n, 125n, 3).wait(1).delta(140n, [], [])
    })
    right(made)
    assert.equal(seconds(made.report, 'depth', 'missing'), 0)
  })

  test('trades and mark prices come by another connection, and a mark price may be older', async () => {
    right(
      await written(async (scribe) => {
        await scribe.trade().mark().wait(1).trade().mark().wait(0.5).rotate()
        scribe.connection++
        scribe
          .trade()
          .mark(scribe.nowUs - 700_000)
          .wait(1)
          .trade()
          .mark()
      }),
    )
  })

  for (const [what, prevId, id] of [
    ['begins behind the last id', 121n, 130n],
    ['ends below it', 110n, 118n],
    ['ends at it, which the book held already', 113n, 120n],
  ] as const) {
    test(`chain_broken: an event that takes over and ${what}`, async () => {
      const made = await written((scribe) => over(joined(scribe), prevId, id).wait(1))
      assert.deepEqual(
        made.report.problems.map(({ kind, key }) => `${kind} ${key}`),
        [BOOKS, 'depth'].map((stream) => `chain_broken ${keyIn(made.manifests, 0, stream)}`),
      )
    })
  }

  test('chain_broken: the second event of the other connection only meets', async () => {
    const made = await written((scribe) => over(joined(scribe), 113n, 125n).wait(1).delta(140n, [], [], 124n))
    assert.match(there(made.report.problems[0]).detail, /row 140 chains to 124, the row before it is 125/)
  })

  test('chain_broken: back to the connection from before', async () => {
    const made = await written((scribe) => {
      over(joined(scribe), 113n, 125n).wait(1).connection = 1
      scribe.delta(140n, [], [], 124n)
    })
    assert.match(there(made.report.problems[0]).detail, /row 140 chains to 124/)
  })

  test('chain_broken: a trade that both connections brought', async () => {
    const made = await written((scribe) => {
      scribe.trade().wait(1).connection++
      scribe.trade(-1n)
    })
    only(made, 'chain_broken', 'trades', /no gap is told/)
  })

  test('coverage_mismatch: a receive time that dips without a take-over', async () => {
    const made = await written(async (scribe) => {
      await joined(scribe).rotate()
      scribe.delta(130n, [], [], 120n, scribe.nowUs - 1_500_000)
    })
    only(made, 'coverage_mismatch', 'coverage', /its rows are from/, 1)
  })
})
