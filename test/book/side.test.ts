/** The ladder against the plainest model there is: a Map, sorted whenever someone looks. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BookSide } from '../../capture/book/mod.ts'
import { LevelBuffer } from '../../capture/exchange/mod.ts'
import { SEED } from '../exchange/seed.ts'

type Level = readonly [price: number, qty: number]

class Model {
  readonly #levels = new Map<number, number>()
  readonly #sign: 1 | -1
  reach: number

  constructor(sign: 1 | -1) {
    this.#sign = sign
    this.reach = -sign * Number.POSITIVE_INFINITY
  }

  set(price: number, qty: number): void {
    if (this.#sign === 1 ? price < this.reach : price > this.reach) return
    if (qty === 0) this.#levels.delete(price)
    else this.#levels.set(price, qty)
  }

  load(levels: readonly Level[], bounded: boolean): void {
    this.#levels.clear()
    for (const [price, qty] of levels) this.#levels.set(price, qty)
    const last = levels.at(-1)
    this.reach = bounded && last !== undefined ? last[0] : -this.#sign * Number.POSITIVE_INFINITY
  }

  sorted(): Level[] {
    return [...this.#levels].sort(([one], [other]) => (other - one) * this.#sign)
  }
}

function levelsOf(side: BookSide): Level[] {
  return Array.from({ length: side.size }, (_, i) => [side.price(i), side.qty(i)] as const)
}

function buffer(levels: readonly Level[]): LevelBuffer {
  const result = new LevelBuffer(1)
  for (const [price, qty] of levels) result.push(price, qty)
  return result
}

function check(side: BookSide, model: Model): void {
  assert.deepEqual(levelsOf(side), model.sorted())
  assert.ok(Number.isNaN(side.price(side.size)) && Number.isNaN(side.qty(side.size)))
  assert.equal(side.reach, model.reach)
  assert.equal(side.unlimited, !Number.isFinite(model.reach))
}

const sign = fc.constantFrom<1 | -1>(1, -1)
/** Ticks of 0.1: most near the touch, so that prices repeat; some far away. */
const price = fc
  .oneof(
    { weight: 6, arbitrary: fc.integer({ min: 9_980, max: 10_020 }) },
    { weight: 2, arbitrary: fc.integer({ min: 9_000, max: 11_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 10_000_000 }) },
  )
  .map((ticks) => ticks / 10)
const qty = fc.oneof(
  { weight: 2, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 1_000_000 }).map((lots) => lots / 1000) },
)
const level = fc.tuple(price, qty)
/** A load (a snapshot, perhaps bounded) or a change. */
const command = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({ kind: fc.constant('apply' as const), levels: fc.array(level, { maxLength: 40 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('load' as const),
      prices: fc.uniqueArray(price, { maxLength: 60 }),
      bounded: fc.boolean(),
    }),
  },
)

test('ladder: after any changes and snapshots a side holds the sorted levels of a map', () => {
  let loads = 0
  fc.assert(
    fc.property(sign, fc.array(command, { maxLength: 30 }), (side, commands) => {
      const real = new BookSide(side)
      const model = new Model(side)
      for (const step of commands) {
        if (step.kind === 'apply') {
          real.apply(buffer(step.levels))
          for (const [at, amount] of step.levels) model.set(at, amount)
        } else {
          loads++
          const sorted = step.prices
            .sort((one, other) => (other - one) * side)
            .map((at, i) => [at, i + 1] as const)
          real.load(buffer(sorted), step.bounded)
          model.load(sorted, step.bounded)
        }
        check(real, model)
      }
    }),
    { seed: SEED, numRuns: 400 },
  )
  assert.ok(loads > 0)
})

test('ladder: a side grows beyond its first capacity, and shrinks to nothing', () => {
  fc.assert(
    fc.property(
      sign,
      fc.uniqueArray(fc.integer({ min: 1, max: 20_000 }), {
        minLength: 1_100,
        maxLength: 2_600,
        size: 'max',
      }),
      (side, ticks) => {
        const real = new BookSide(side)
        const model = new Model(side)
        for (const tick of ticks) {
          real.set(tick / 100, tick)
          model.set(tick / 100, tick)
        }
        assert.ok(real.size > 1024)
        check(real, model)
        const sorted = model.sorted()
        const loaded = new BookSide(side)
        loaded.load(buffer(sorted), true)
        assert.deepEqual(levelsOf(loaded), sorted)
        assert.equal(loaded.reach, sorted.at(-1)?.[0])
        for (const tick of ticks) real.set(tick / 100, 0)
        assert.equal(real.size, 0)
      },
    ),
    { seed: SEED, numRuns: 10, endOnFailure: true }, // shrinking thousands of levels takes minutes
  )
})

test('ladder: deleting an unknown level changes nothing, a repeated price keeps its last quantity', () => {
  const side = new BookSide(1)
  side.apply(
    buffer([
      [100, 1],
      [101, 2],
      [100, 3],
      [99, 0],
      [102, 0],
    ]),
  )
  assert.deepEqual(levelsOf(side), [
    [101, 2],
    [100, 3],
  ])
})

test('horizon: levels beyond the reach are not kept, levels at it are', () => {
  for (const side of [1, -1] as const) {
    const real = new BookSide(side)
    const at = (distance: number): number => 100 - side * distance
    real.load(
      buffer([
        [at(0), 1],
        [at(1), 1],
        [at(2), 1],
      ]),
      true,
    )
    assert.equal(real.reach, at(2))
    real.apply(
      buffer([
        [at(3), 9],
        [at(2.5), 9],
        [at(2), 7],
        [at(-1), 8],
      ]),
    )
    assert.deepEqual(levelsOf(real), [
      [at(-1), 8],
      [at(0), 1],
      [at(1), 1],
      [at(2), 7],
    ])
    real.set(at(2), 0)
    assert.equal(real.reach, at(2), 'deleting the last level does not move the reach')
    real.set(at(2), 5)
    assert.equal(real.qty(3), 5)
  }
})
