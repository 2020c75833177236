/** One damage for each kind of problem that a report names. */
import { cp, readFile, truncate, writeFile } from 'node:fs/promises'
import { keyOfManifest, MANIFEST_BYTES_MAX } from '../../capture/ship/mod.ts'
import type { ProblemKind } from '../../capture/verify/mod.ts'
import { objectOf, type Row, remove, replaceObject, rewrite, rewriteCoverage } from './damage.ts'
import { changeRow, keyIn, type Scenario, windowOf } from './scenario.ts'
import type { Place } from './world.ts'

/** The window of run A that is damaged. */
export const DAMAGED = 1

/** Damages a copy of the scenario's bucket and names the object that the report must name. */
export interface Damage {
  readonly kind: ProblemKind
  readonly what: string
  readonly damage: (place: Place) => Promise<string>
}

type Entry = readonly [kind: ProblemKind, what: string, damage: Damage['damage']]

/** Each of them is one problem, and no other. The scenario may be made later. */
export function damagesOf(s: Scenario): readonly Damage[] {
  return tableOf(s).map(([kind, what, damage]) => ({ kind, what, damage }))
}

function tableOf(s: Scenario): readonly Entry[] {
  const edit = async (place: Place, stream: string, change: (rows: Row[]) => Row[]): Promise<string> => {
    await rewrite(place, windowOf(s.runA, DAMAGED), stream, change)
    return keyIn(s.runA, DAMAGED, stream)
  }
  const of = (stream: string) => keyIn(s.runA, DAMAGED, stream)
  const manifestKey = () => keyOfManifest(windowOf(s.runA, DAMAGED))
  const touch = (column: string, by: number) =>
    changeRow(6, (row) => ({ ...row, [column]: Number(row[column]) + by }))

  return [
    [
      'manifest_unreadable',
      'a manifest cut in half',
      async (place) => {
        await truncate(place.path(manifestKey()), 300)
        return manifestKey()
      },
    ],
    [
      'manifest_unreadable',
      'a manifest that has grown beyond what is read of one',
      async (place) => {
        // the file has holes: it costs no disk
        await truncate(place.path(manifestKey()), MANIFEST_BYTES_MAX + 1)
        return manifestKey()
      },
    ],
    [
      'manifest_altered',
      'a manifest edited by hand',
      async (place) => {
        const text = await readFile(place.path(manifestKey()), 'utf8')
        await writeFile(place.path(manifestKey()), text.replace('"rows":', '"rows":1'))
        return manifestKey()
      },
    ],
    [
      'manifest_missing',
      'a manifest removed, its objects left',
      async (place) => {
        await remove(place, manifestKey())
        return manifestKey()
      },
    ],
    [
      'object_missing',
      'an object removed',
      async (place) => {
        await remove(place, of('depth'))
        return of('depth')
      },
    ],
    [
      'object_size',
      'an object that lost its tail',
      async (place) => {
        await truncate(place.path(of('depth')), objectOf(windowOf(s.runA, DAMAGED), 'depth').bytes - 7)
        return of('depth')
      },
    ],
    [
      'object_size',
      'an object that has grown',
      async (place) => {
        await truncate(place.path(of('depth')), objectOf(windowOf(s.runA, DAMAGED), 'depth').bytes + 7)
        return of('depth')
      },
    ],
    [
      'object_altered',
      'an object with one bit turned',
      async (place) => {
        await flip(place.path(of('books5')), 200, 4)
        return of('books5')
      },
    ],
    [
      'object_unreadable',
      'an object that is another stream’s, with its hash',
      async (place) => {
        const other = await readFile(place.path(of('trades')))
        await replaceObject(place, windowOf(s.runA, DAMAGED), 'depth', other)
        return of('depth')
      },
    ],
    [
      'rows_mismatch',
      'rows of the same stream of another window, with their hash',
      async (place) => {
        const other = await readFile(place.path(keyIn(s.runA, 0, 'mark_price')))
        await replaceObject(place, windowOf(s.runA, DAMAGED), 'mark_price', other)
        return of('mark_price')
      },
    ],
    [
      'rows_mismatch',
      'a row twice',
      (place) => edit(place, 'trades', ([one, ...rows]) => (one ? [one, one, ...rows] : rows)),
    ],
    [
      'chain_broken',
      'a trade taken out',
      (place) => edit(place, 'trades', (rows) => rows.filter((_, i) => i !== 3)),
    ],
    ['chain_broken', 'two events swapped in id', (place) => edit(place, 'depth', swapped)],
    ['book_crossed', 'a bid at the ask', (place) => edit(place, 'books5', crossed)],
    ['book_mismatch', 'a quantity of books', (place) => edit(place, 'books5', touch('ask_qty_4', 0.01))],
    [
      'book_mismatch',
      'a level of a `book` row',
      (place) =>
        edit(
          place,
          'depth',
          changeRow(0, (row) => ({ ...row, ask_qtys: lastPlus(row.ask_qtys) })),
        ),
    ],
    [
      'coverage_mismatch',
      'more ids than rows prove',
      async (place) => {
        const pick = (row: { of_stream: string }) => row.of_stream === 'books5'
        await rewriteCoverage(place, windowOf(s.runA, DAMAGED), pick, { last_id: '99999' })
        return of('coverage')
      },
    ],
    [
      'coverage_mismatch',
      'more time than rows prove',
      async (place) => {
        const pick = (row: { of_stream: string }) => row.of_stream === 'mark_price'
        const { closed } = windowOf(s.runA, DAMAGED)
        await rewriteCoverage(place, windowOf(s.runA, DAMAGED), pick, { to: closed })
        return of('coverage')
      },
    ],
    [
      'coverage_mismatch',
      'a row of coverage taken out of its object alone',
      (place) => edit(place, 'coverage', (rows) => rows.slice(1)),
    ],
    [
      'overlap',
      'two runs that hold one trade',
      async (place) => {
        await overlapTrades(s, place)
        return keyIn(s.runB, 0, 'trades')
      },
    ],
    [
      'object_orphan',
      'a copy of an object under another time of the day',
      async (place) => {
        const key = of('trades').replace(/\/(\d{5})\dZ-/, '/$19Z-')
        await cp(place.path(of('trades')), place.path(key))
        return key
      },
    ],
  ]
}

function swapped(rows: Row[]): Row[] {
  const [a, b] = [rows[4], rows[5]]
  const ids = (row: Row | undefined) => ({
    update_id: row?.update_id ?? 0n,
    first_update_id: row?.first_update_id ?? 0n,
    prev_update_id: row?.prev_update_id ?? 0n,
  })
  return rows.map((row, i) => (i === 4 ? { ...row, ...ids(b) } : i === 5 ? { ...row, ...ids(a) } : row))
}

function crossed(rows: Row[]): Row[] {
  return changeRow(6, (row) => ({
    ...row,
    best_bid_price: row.best_ask_price ?? null,
    bid_price_0: row.best_ask_price ?? null,
  }))(rows)
}

function lastPlus(values: Row[string] | undefined): number[] {
  return (values as number[]).map((value, i, all) => (i === all.length - 1 ? value + 1 : value))
}

/** Run B says that it began one trade earlier, and holds it: what run A holds, too. */
async function overlapTrades(s: Scenario, place: Place): Promise<void> {
  const lastOfA = BigInt(objectOf(windowOf(s.runA, s.runA.length - 1), 'trades').last_id)
  const before = objectOf(windowOf(s.runB, 0), 'trades')
  const back = BigInt(before.first_id) - lastOfA
  const shift = (row: Row, columns: string[]) =>
    Object.fromEntries(columns.map((name) => [name, (row[name] as bigint) - back]))
  for (const manifest of s.runB) {
    const columns = ['trade_id', 'first_trade_id', 'last_trade_id']
    let changed = await rewrite(place, manifest, 'trades', (rows) =>
      rows.map((row) => ({ ...row, ...shift(row, columns) })),
    )
    for (const { seq, first_id, last_id, prev_id } of manifest.coverage.filter(
      (row) => row.of_stream === 'trades',
    )) {
      const moved = (id: string) => String(BigInt(id) - (id === '0' ? 0n : back))
      const change = { first_id: moved(first_id), last_id: moved(last_id), prev_id: moved(prev_id) }
      changed = await rewriteCoverage(place, changed, (row) => row.seq === seq, change)
    }
  }
}

async function flip(path: string, at: number, bit: number): Promise<void> {
  const bytes = await readFile(path)
  bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << bit), at)
  await writeFile(path, bytes)
}
