/**
 * The Python oracle of the crash tests on what a session may do, written by hand: right histories pass, and each lie
 * is noticed. What the simulated exchange emitted is written by hand, too.
 */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Manifest } from '../../capture/ship/mod.ts'
import { runReader } from '../support/python.ts'
import { rewrite, rewriteCoverage } from './damage.ts'
import { changeRow, useScenario, windowOf } from './scenario.ts'
import { BOOKS, Scribe } from './scribe.ts'
import { type Place, RUN_A } from './world.ts'

const s = useScenario({ made: false })

type Level = readonly [price: number, qty: number]

/** What was emitted: two connections that merge the same changes differently. */
interface Truth {
  readonly batches: (readonly [connection: number, prev: number, first: number, last: number])[]
  readonly books: (readonly [id: number, bids: readonly Level[], asks: readonly Level[]])[]
}

function chain(connection: number, ...ids: number[]): Truth['batches'] {
  return ids.slice(1).map((last, i) => [connection, ids[i] ?? 0, (ids[i] ?? 0) + 1, last] as const)
}

const BIDS = [
  [99, 1],
  [98, 2],
  [97, 3],
] as const
const ASKS = [
  [101, 1],
  [102, 2],
  [103, 3],
] as const

function truth(): Truth {
  const batches = [
    ...chain(1, 80, 90, 110, 120, 130, 141, 150),
    ...chain(2, 95, 113, 125, 140, 150, 160, 170, 180, 190, 200),
  ]
  return { batches, books: [[110, BIDS, ASKS]] }
}

async function judge(
  place: Place,
  told = truth(),
): Promise<{ audits: number; suspects: number; compared: number }> {
  const path = join(place.dir, 'truth.json')
  const trades = Array.from({ length: 20 }, (_, i) => 5001 + i)
  const rest = { levels: 3, trades, journalled: [{ depth: [], trades: [] }], holes: false }
  await writeFile(path, JSON.stringify({ ...told, ...rest }))
  const [summary] = (await runReader('oracle.py', [path, place.root])) as [Awaited<ReturnType<typeof judge>>]
  return summary
}

/** Joined, audited, and taken over by connection 2 in the window after. */
async function start(scribe: Scribe): Promise<void> {
  scribe.snapshot(100n, BIDS, ASKS, undefined, 90n).delta(110n, [], [], 90n).trade().mark().wait(1)
  scribe
    .delta(120n, [[98, 4]], [])
    .audit(scribe.bids.sorted(), scribe.asks.sorted())
    .wait(1)
  await scribe.silent('trades').rotate()
  scribe.connection++
}

/** Wrong from 125 on, found at 150; joined again and right from 150 on. */
function doubt(scribe: Scribe): void {
  scribe
    .delta(125n, [], [], 113n)
    .wait(1)
    .delta(140n, [[99, 8]], [])
    .wait(1)
  scribe.suspect(125n, scribe.nowUs - 2e6, 'audit_mismatch').wait(1)
  scribe.snapshot(155n, BIDS, ASKS, undefined, 150n).delta(160n, [], [], 150n).wait(1)
}

async function written(
  tell: (scribe: Scribe) => Promise<unknown>,
): Promise<{ place: Place; manifests: Manifest[] }> {
  const place = await s.fresh()
  const scribe = new Scribe(place, RUN_A)
  await tell(scribe)
  return { place, manifests: await scribe.stop() }
}

const takenOver = () =>
  written(async (scribe) => {
    await start(scribe)
    await scribe.trade().delta(125n, [], [], 113n).wait(1).delta(140n, [], []).wait(1).rotate()
  })

const doubted = () =>
  written(async (scribe) => {
    await start(scribe)
    doubt(scribe)
  })

test('oracle: an audit, a take-over and a silence are right, and the audits are done again', async () => {
  assert.deepEqual(
    await judge((await takenOver()).place).then(({ audits, compared }) => [audits, compared]),
    [3, 1],
  )
})

test('oracle: a book that stands at its snapshot, over a window, until an event meets it', async () => {
  const { place } = await written(async (scribe) => {
    await scribe.snapshot(100n, BIDS, ASKS).wait(9).silent(BOOKS, 'depth').rotate()
    scribe.delta(110n, [], [], 90n).wait(1).delta(120n, [], []).trade().mark()
  })
  await judge(place)
})

test('oracle: what a suspect withdraws is no claim, and its books are not believed', async () => {
  const told = truth()
  // the true book at 140 is another one, and between 125 and 140 an event was lost
  told.books.push([140, BIDS, ASKS])
  told.batches.push(...chain(2, 130, 131))
  const { suspects, compared } = await judge((await doubted()).place, told)
  assert.deepEqual([suspects, compared], [1, 1])
})

test('oracle notices: the same without the suspect rows', async () => {
  const { place, manifests } = await doubted()
  const told = truth()
  told.books.push([140, BIDS, ASKS])
  await reprieve(place, windowOf(manifests, 1))
  await assert.rejects(judge(place, told), /bids at 140: .* is not/)
  told.batches.splice(told.batches.length, 0, ...chain(2, 130, 131))
  await assert.rejects(judge(place, told), /were emitted, \d+ published/)
})

/** Takes the suspect rows out of the coverage object. */
async function reprieve(place: Place, manifest: Manifest): Promise<void> {
  await rewrite(place, manifest, 'coverage', (rows) => rows.filter((row) => row.state !== 'suspect'))
}

const LIES: readonly (readonly [what: string, words: RegExp, tell: (scribe: Scribe) => Promise<unknown>])[] =
  [
    [
      'a connection that takes over without meeting the last id',
      /does not meet 120/,
      async (scribe) => {
        await start(scribe)
        scribe.delta(140n, [], [], 125n)
      },
    ],
    [
      'a connection that takes over with an event that ends where the book stands',
      /depth: published twice: \[120\]/,
      async (scribe) => {
        await start(scribe)
        scribe.delta(120n, [], [], 113n)
      },
    ],
    [
      'an event that is missing behind a take-over',
      /\d+ were emitted, 2 published/,
      async (scribe) => {
        await start(scribe)
        scribe.delta(125n, [], [], 113n).delta(150n, [], [], 140n)
      },
    ],
    [
      'a connection that comes back',
      /connection 1 came back/,
      async (scribe) => {
        await start(scribe)
        scribe.delta(125n, [], [], 113n).connection = 1
        scribe.delta(130n, [], [], 120n)
      },
    ],
    [
      'an event twice',
      /depth: published twice: \[120\]/,
      async (scribe) => {
        await start(scribe)
        scribe.connection = 1
        scribe.delta(120n, [], [], 110n)
      },
    ],
    [
      'an audit that disagrees with the changes',
      /bids of the book row at 110 are not what the changes give, at \[97/,
      async (scribe) => {
        scribe.snapshot(100n, BIDS, ASKS, undefined, 90n).delta(110n, [], [], 90n).trade().mark()
        scribe.audit(
          [
            [99, 1],
            [98, 2],
            [97, 5],
          ],
          ASKS,
        )
      },
    ],
    [
      'a first event that does not meet its snapshot',
      /does not meet 100/,
      async (scribe) => {
        scribe.snapshot(100n, BIDS, ASKS).delta(120n, [], [], 110n).trade().mark()
      },
    ],
  ]

for (const [what, words, tell] of LIES) {
  test(`oracle notices: ${what}`, async () => {
    await assert.rejects(
      written(tell).then(({ place }) => judge(place)),
      words,
    )
  })
}

const CLAIMS = [
  ['more time than its window had', /more time than there was/, { to: '2026-11-22T12:00:09.000000Z' }],
  ['less time than its rows', /ends before its rows/, { to: '2026-11-22T12:00:00.500000Z' }],
  ['more ids than its rows', /other bounds/, { last_id: '130' }],
] as const
for (const [what, words, change] of CLAIMS) {
  test(`oracle notices: coverage that claims ${what}`, async () => {
    const { place, manifests } = await takenOver()
    await rewriteCoverage(place, windowOf(manifests, 0), (row) => row.of_stream === 'depth', change)
    await assert.rejects(judge(place), words)
  })
}

test('oracle notices: a suspect that does not reach the end of its interval', async () => {
  const { place, manifests } = await doubted()
  const pick = (row: Manifest['coverage'][number]) => row.state === 'suspect' && row.of_stream === 'depth'
  await rewriteCoverage(place, windowOf(manifests, 1), pick, { last_id: '139' })
  await assert.rejects(judge(place), /does not end where an interval ends/)
})

test('oracle notices: a window without a row that claims ids', async () => {
  const { place, manifests } = await takenOver()
  await rewriteCoverage(place, windowOf(manifests, 2), (row) => row.of_stream === 'depth', { last_id: '150' })
  await assert.rejects(judge(place), /no rows but ids/)
})

test('oracle notices: a row of books that is not the true book', async () => {
  const { place, manifests } = await takenOver()
  const change = changeRow(0, (row) => ({ ...row, bid_qty_1: 7 }))
  await rewrite(place, windowOf(manifests, 0), BOOKS, change)
  await assert.rejects(judge(place), /bids at 110/)
})
