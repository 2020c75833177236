/** What keeps rows right: chain, join, invariants, horizon, numbers, and the sequence of rows. */
import type { Mutation } from './mutation.ts'

const BINANCE = 'capture/exchange/binance-usdm/mod.ts'
const LINK = "return event.previousId === lastId && event.finalId > lastId ? 'next' : 'broken'"
const BOOK_FILE = 'capture/book/book.ts'
const SIDE = 'capture/book/side.ts'
const BUDGET = 'capture/session/resync-budget.ts'
const BUFFER = 'capture/session/buffer.ts'
const JOINER = 'capture/session/joiner.ts'
const LEDGER = 'capture/session/ledger.ts'
const LIVE_BOOK = 'capture/session/live-book.ts'
const GUARDS = 'capture/session/book-guards.ts'
const QUESTIONS = 'capture/session/book-questions.ts'
const SESSION = 'capture/session/session.ts'
const TRADES = 'capture/session/trade-stream.ts'

const AUDIT_TEST = 'test/session/audit.test.ts'
const CHAIN_TEST = 'test/session/chain.test.ts'
const FRAMES_TEST = 'test/session/frames.test.ts'
const GUARDS_TEST = 'test/session/guards.test.ts'
const JOIN_TEST = 'test/session/join.test.ts'
const MARKET_TEST = 'test/session/market.test.ts'
const STATE_TEST = 'test/session/state.test.ts'

export const BOOK: readonly Mutation[] = [
  {
    name: 'overlap is accepted inside a connection',
    why: 'an event that was applied in part is applied again, as if it were a join',
    file: BINANCE,
    find: LINK,
    replace: "return event.previousId <= lastId && lastId <= event.finalId ? 'next' : 'broken'",
    test: { file: CHAIN_TEST, name: 'overlap inside a connection is a gap, though a join would accept it' },
  },
  {
    name: 'the chain is not checked',
    why: 'a lost event leaves wrong levels in every row after it',
    file: BINANCE,
    find: LINK,
    replace: "return 'next'",
    test: { file: CHAIN_TEST, name: 'gap: a missing pu discards the book and records the gap' },
  },
  {
    name: 'the join of spot: id + 1',
    why: 'the event that ends at the snapshot is refused, and one that begins after it is taken',
    file: 'capture/exchange/exchange.ts',
    find: 'return event.previousId <= id && id <= event.finalId',
    replace: 'return event.previousId <= id + 1n && id + 1n <= event.finalId',
    test: {
      file: CHAIN_TEST,
      name: 'takes the event that ends exactly at the snapshot, and the one that chains to it',
    },
  },
  {
    name: 'a snapshot that is too old is joined',
    why: 'the changes between the snapshot and the first event are missing from the book',
    file: JOINER,
    find: "if (!meets(this.#buffer.at(start).event, snapshot.id)) return 'too_old'",
    replace: '',
    test: { file: CHAIN_TEST, name: 'refuses a snapshot that is too old, keeps the events and asks again' },
  },
  {
    name: 'events are kept across a break',
    why: 'a join applies events with one missing among them',
    file: BUFFER,
    find: 'if (last !== undefined && !follows(event, last.event.finalId)) {',
    replace: 'if (false) {',
    test: { file: CHAIN_TEST, name: 'a break among the kept events drops what lies before it' },
  },
  {
    name: 'a join goes back behind the last row',
    why: 'ids are published twice',
    file: JOINER,
    find: 'if (snapshot.id < lastRow && !this.#countsAnew(lastRow)) return',
    replace: 'if (false) return',
    test: { file: JOIN_TEST, name: 'a snapshot from before the last row is too old; the events are kept' },
  },
  {
    name: 'no resync budget',
    why: 'a chain that we misread costs snapshots for ever, and the weight of all captures',
    file: BUDGET,
    find: 'this.#falls.add(received) > FALLS_MAX',
    replace: 'this.#falls.add(received) > Number.POSITIVE_INFINITY',
    test: { file: GUARDS_TEST, name: 'halts at the twenty-first fall from live in ten minutes' },
  },
  {
    name: 'a crossed book goes on',
    why: 'rows of a book that cannot be are published',
    file: BOOK_FILE,
    find: ">= asks.prices[asks.size - 1] ? 'crossed' : undefined",
    replace: '>= asks.prices[asks.size - 1] ? undefined : undefined',
    test: {
      file: GUARDS_TEST,
      name: 'a crossed book writes no row, withdraws what vouched for the rows since the join, and halts',
    },
  },
  {
    name: 'a touching book is not crossed',
    why: 'a level that should be gone shows first as equal prices',
    file: BOOK_FILE,
    find: 'bids.prices[bids.size - 1] >= asks',
    replace: 'bids.prices[bids.size - 1] > asks',
    test: { file: GUARDS_TEST, name: 'equal prices are crossed too' },
  },
  {
    name: 'a crossed book withdraws nothing',
    why: 'it was wrong before it showed: those rows would stay vouched for',
    file: GUARDS,
    find: "this.#live.suspect('CrossedBook', message, effects)",
    replace: '',
    test: { file: GUARDS_TEST, name: 'a suspect span reaches back over windows to the join' },
  },
  {
    name: 'an empty side is no fault',
    why: 'a book without bids is published as live',
    file: BOOK_FILE,
    find: "return lost ? 'horizon' : 'empty_side'",
    replace: "return lost ? 'horizon' : undefined",
    test: { file: GUARDS_TEST, name: 'gap: a side whose reach is unlimited runs empty' },
  },
  {
    name: 'a book that has left its horizon goes on',
    why: 'a side without a level that we know of is published as the book',
    file: BOOK_FILE,
    find: "return lost ? 'horizon' : 'empty_side'",
    replace: "return lost ? undefined : 'empty_side'",
    test: {
      file: GUARDS_TEST,
      name: 'gap: no level within a finite reach, and the event that showed it waits for the next snapshot',
    },
  },
  {
    name: 'empty sides for ever',
    why: 'an exchange that sends half a book is asked again without end, and nobody is told',
    file: GUARDS,
    find: 'if (!this.#empty.add(liveForUs)) return false',
    replace: 'if (!this.#empty.add(liveForUs) || received > 0) return false',
    test: {
      file: GUARDS_TEST,
      name: 'three joins in a row: halt EmptyBook, and what vouched for the rows since the last join is withdrawn',
    },
  },
  {
    name: 'levels beyond the horizon are kept',
    why: 'levels that nobody proved rot in the book, and are published once the price comes there',
    file: SIDE,
    find: 'if (!this.knows(price)) return',
    replace: '',
    test: {
      file: 'test/book/side.test.ts',
      name: 'horizon: levels beyond the reach are not kept, levels at it are',
    },
  },
  {
    name: 'the horizon is only widened',
    why: 'levels that the latest audit did not see count as proven',
    file: LIVE_BOOK,
    find: 'this.book = audited\n',
    replace:
      'if (audited.bids.reach < this.book.bids.reach || audited.asks.reach > this.book.asks.reach) this.book = audited\n',
    test: {
      file: AUDIT_TEST,
      name: 'takes the book to its own reach: what lay beyond is not known any more',
    },
  },
  {
    name: 'a cut book keeps its reach',
    why: 'levels that fell out of the best 1000 count as absent, though nobody tells of them',
    file: SIDE,
    find: 'this.reach = this.prices[0]',
    replace: '',
    test: { file: AUDIT_TEST, name: 'the book is cut to the best 1000 a side and the reach follows' },
  },
  {
    name: 'the book is not cut to the best 1000',
    why: 'the exchange tells no changes beyond them: they rot',
    file: SIDE,
    find: 'if (this.size <= count) return',
    replace: 'return',
    test: { file: AUDIT_TEST, name: 'the book is cut to the best 1000 a side and the reach follows' },
  },
  {
    name: 'levels that are not proven count as proven',
    why: 'a reader takes an unknown level for an absent one',
    file: BOOK_FILE,
    find: 'return side.unlimited ? count : Math.min(count, side.size)',
    replace: 'return count',
    test: {
      file: 'test/book/book.test.ts',
      name: 'horizon: slots are proven as far as levels exist within the reach, and all of them without one',
    },
  },
  {
    name: 'sixteen digits are taken',
    why: 'float64 rounds them: the price in the file is not the one that was sent',
    file: 'capture/exchange/json/scanner.ts',
    find: 'if (digits > DIGITS_EXACT_MAX)\n',
    replace: 'if (digits > 99)\n',
    test: { file: FRAMES_TEST, name: 'a price that float64 cannot hold exactly halts' },
  },
  {
    name: 'frames that do not decode, for ever',
    why: 'an exchange that changed its protocol is captured as gaps, and nobody is told',
    file: SESSION,
    find: 'if (this.#undecodable.add(input.received) >= UNDECODABLE_MAX) {',
    replace: 'if (this.#undecodable.add(input.received) < 0) {',
    test: { file: FRAMES_TEST, name: 'halt ProtocolChanged: ten frames in a minute that do not decode' },
  },
  {
    name: 'a frame that does not decode is passed over',
    why: 'what it said is missing, and coverage claims it',
    file: SESSION,
    find: "this.#gap(hit, 'parse', error.message, input.received, effects)",
    replace: '',
    test: { file: FRAMES_TEST, name: 'gap: a trade that does not decode ends the trades alone' },
  },
  {
    name: 'the first row after a gap does not say so',
    why: 'a reader computes over the hole as if nothing were missing',
    file: LIVE_BOOK,
    find: 'this.book.clear()\n    this.#gapBefore = true',
    replace: 'this.book.clear()',
    test: { file: CHAIN_TEST, name: 'gap: a missing pu discards the book and records the gap' },
  },
  {
    name: 'trades are published twice',
    why: 'what two connections brought is traded volume that never was',
    file: TRADES,
    find: 'else if (trade.id <= this.lastId || trade.tradeTime <= this.#countsFrom) {',
    replace: 'else if (trade.tradeTime <= this.#countsFrom) {',
    test: { file: MARKET_TEST, name: 'a trade that was published already is dropped and counted' },
  },
  {
    name: 'trades of a new count are taken for repeated ones',
    why: 'they are dropped, and the first that fits goes on from the old count as if nothing were missing',
    file: TRADES,
    find: 'const anew = trade.id <= this.lastId && trade.tradeTime > this.#latest',
    replace: 'const anew = false',
    test: { file: MARKET_TEST, name: 'ids that begin anew just below the last one do not go on from it' },
  },
  {
    name: 'trades of a count that is over are published again',
    why: 'a connection that lags brings them once more, and their ids are higher than the new ones',
    file: TRADES,
    find: ' || trade.tradeTime <= this.#countsFrom',
    replace: '',
    test: {
      file: MARKET_TEST,
      name: 'what is sent again of the count that is over falls out, though its ids are higher',
    },
  },
  {
    name: 'a crossed snapshot is joined',
    why: 'a book that cannot be is published',
    file: QUESTIONS,
    find: "if (book.fault() === 'crossed') {",
    replace: 'if (false) {',
    test: {
      file: GUARDS_TEST,
      name: 'a snapshot that is crossed in itself is refused, counted and asked again: it says nothing of our book',
    },
  },
  {
    name: 'half a snapshot is joined',
    why: 'a book without a side is published as live',
    file: GUARDS,
    find: 'if (snapshot.bids.length > 0 && snapshot.asks.length > 0) return false',
    replace: 'if (snapshot.id > 0n) return false',
    test: {
      file: GUARDS_TEST,
      name: 'a snapshot that has an empty side in itself is refused and asked again, and counts as such a join',
    },
  },
  {
    name: 'snapshots that are of no use, for ever',
    why: 'an exchange that changed its snapshots is asked without end, and nobody is told',
    file: QUESTIONS,
    find: 'if (!this.#bad.add()) return',
    replace: 'if (!this.#bad.add() || received > 0) return',
    test: {
      file: FRAMES_TEST,
      name: 'halt ProtocolChanged: ten snapshots in a row that do not decode, whatever they were asked for',
    },
  },
  {
    name: 'bad answers now and then add up to a halt',
    why: 'a page of HTML once a day ends a capture that is sound',
    file: QUESTIONS,
    find: 'this.#bad.reset()',
    replace: '',
    test: {
      file: FRAMES_TEST,
      name: 'a page of HTML in place of a snapshot now and then is one more failure',
    },
  },
  {
    name: 'a jump in trade ids is passed over',
    why: 'coverage claims trades that never came',
    file: TRADES,
    find: 'if (coverage.open && trade.id !== this.lastId + 1n) {',
    replace: 'if (false) {',
    test: { file: MARKET_TEST, name: 'gap: a jump in the trade ids ends coverage and starts it anew' },
  },
  {
    name: 'rows of a boundary advance the sequence',
    why: 'a window that is cut elsewhere gives rows other numbers: a replay is not the live run',
    file: LEDGER,
    find: 'return this.#last + ++this.#boundary',
    replace: 'return ++this.#last',
    test: {
      file: STATE_TEST,
      name: 'any rotation points give identical rows, seq included, coverage and whole-book rows apart',
    },
  },
  {
    name: 'an event of another symbol is taken',
    why: 'two books become one',
    file: 'capture/exchange/binance-usdm/decode.ts',
    find: 'if (other !== symbol)\n',
    replace: "if (other === '')\n",
    test: {
      file: 'test/exchange/decode.test.ts',
      name: 'messages: an event of another symbol is refused, one whose symbol is spelt with escapes is not',
    },
  },
  {
    name: 'a halted session goes on',
    why: 'rows are published of what was just found not to be trusted',
    file: SESSION,
    find: 'this.#shared.seq.beginStep()\n    if (this.over) return',
    replace: 'this.#shared.seq.beginStep()',
    test: { file: GUARDS_TEST, name: 'after a halt nothing is taken any more' },
  },
]
