/** What keeps connections and the exchange's patience: sockets, take-over, listing, limits, our own stalls. */
import type { Mutation } from './mutation.ts'

const CONNECTION = 'capture/feed/connection.ts'
const BOOK_CONNECTIONS = 'capture/session/book-connections.ts'
const MACHINE = 'capture/session/book-machine.ts'
const LISTING = 'capture/session/listing-guard.ts'
const SESSION = 'capture/session/session.ts'
const BUDGET = 'capture/feed/budget.ts'
const KEEPER = 'capture/process/keeper.ts'

const BUDGET_TEST = 'test/feed/budget.test.ts'
const FROZEN_TEST = 'test/session/take-over-frozen.test.ts'
const GUARDS_TEST = 'test/session/guards.test.ts'
const KEEPER_TEST = 'test/process/keeper.test.ts'
const LIMITS_TEST = 'test/session/limits.test.ts'
const SOCKET_TEST = 'test/feed/socket.test.ts'
const TAKE_OVER_TEST = 'test/session/take-over.test.ts'

export const CONNECTIONS: readonly Mutation[] = [
  {
    name: 'a pong may never come',
    why: 'a half-open socket stays the only source, silent for hours',
    file: CONNECTION,
    find: 'if (this.#awaitsPong && lateMs < PING_LATE_MS_MAX) {',
    replace: 'if (this.#awaitsPong && lateMs < 0) {',
    test: {
      file: SOCKET_TEST,
      name: 'ping: a half-open socket is dropped when its pong does not come within 10 s',
    },
  },
  {
    name: 'a reconnect resumes the book',
    why: 'what came between the two connections is missing from it',
    file: MACHINE,
    find: "this.gap(frozen ? 'stale' : 'reconnect', reason, received, effects)",
    replace: "if (frozen) this.gap('stale', reason, received, effects)",
    test: {
      file: 'test/session/chain.test.ts',
      name: 'a lost socket ends coverage, and the new connection joins anew',
    },
  },
  {
    name: 'a take-over without meeting',
    why: 'what came between the cursor and the second connection is missing, without a gap',
    file: 'capture/session/book-take-over.ts',
    find: "return meets(this.#kept.at(start).event, cursor) ? this.#kept.all().slice(start) : 'broken'",
    replace: 'return this.#kept.all().slice(start)',
    test: {
      file: TAKE_OVER_TEST,
      name: 'gap reconnect: the first one is cut and the second one began later',
    },
  },
  {
    name: 'a first event after a quiet take-over need not meet',
    why: 'a take-over without events is proven by its first event alone',
    file: 'capture/session/live-book.ts',
    find: "return meets(event, id) ? 'next' : 'broken'",
    replace: "return 'next'",
    test: {
      file: TAKE_OVER_TEST,
      name: 'both are quiet for a minute: the second one takes over, and its first event must meet the cursor',
    },
  },
  {
    name: 'a failed take-over loses what was held back',
    why: 'events of the connection that goes on are missing',
    file: BOOK_CONNECTIONS,
    find: 'for (const held of this.#takeOver.failed(received)) {',
    replace: 'this.#takeOver.failed(received)\n    for (const held of []) {',
    test: {
      file: TAKE_OVER_TEST,
      name: 'no event fits within two seconds: the first connection goes on with what was held back',
    },
  },
  {
    name: 'the end of a run loses what was held back',
    why: 'events that were received before a stop are in no row and in no gap',
    file: BOOK_CONNECTIONS,
    find: 'for (const held of this.#takeOver.releaseHeld()) this.#book.take(held.event, held.received, effects)',
    replace: '',
    test: { file: TAKE_OVER_TEST, name: 'what was held back is not lost when the run stops' },
  },
  {
    name: 'no audit after a take-over',
    why: 'nobody checks that ids mean the same on both connections',
    file: MACHINE,
    find: "this.#questions.audit.schedule('take_over', received)",
    replace: '',
    test: { file: TAKE_OVER_TEST, name: 'an audit follows, however fresh the last one is' },
  },
  {
    name: 'a halt of trading is ignored',
    why: 'an empty book in a halt is taken for a fault, and ends the capture',
    file: LISTING,
    find: "return status === 'trading' ? 'trading' : 'not_trading'",
    replace: "return status === 'absent' ? 'not_trading' : 'trading'",
    test: {
      file: LIMITS_TEST,
      name: 'pause not_trading: coverage of every stream ends, nothing is taken nor asked until it trades',
    },
  },
  {
    name: 'an unknown symbol waits for ever',
    why: 'a typing error looks like a capture that is starting',
    file: LISTING,
    find: "this.unlisted = status === 'absent' && !this.#wasListed",
    replace: 'this.unlisted = false',
    test: {
      file: GUARDS_TEST,
      name: 'a symbol that was never listed halts at the second answer that says so, not at the first',
    },
  },
  {
    name: 'one listing without the symbol is final',
    why: 'one wrong answer of one server ends a capture for good',
    file: LISTING,
    find: 'return this.unlisted && received - this.#unlistedSince >= UNLISTED_APART_US',
    replace: 'return this.unlisted',
    test: { file: GUARDS_TEST, name: 'two answers of one moment are one' },
  },
  {
    name: 'one that has events can be unknown',
    why: 'a listing that lags behind a new symbol ends its capture for good',
    file: SESSION,
    find: 'if (depth_events + trades + mark_prices > 0) return',
    replace: 'if (depth_events + trades + mark_prices < 0) return',
    test: {
      file: GUARDS_TEST,
      name: 'one that has events is there, however often the listing does not have it: it waits',
    },
  },
  {
    name: 'a second connection goes down with a frozen first one',
    why: 'a gap, where the other connection has all that is missing',
    file: BOOK_CONNECTIONS,
    find: "this.#changeOver(received, effects, 'frozen')\n    return true",
    replace: 'return false',
    test: {
      file: FROZEN_TEST,
      name: 'the second one has an event that meets the cursor: it takes over at once, and nothing is lost',
    },
  },
  {
    name: 'a second connection that is silent too takes over from a frozen one',
    why: 'it proves nothing: the book would follow silence',
    file: BOOK_CONNECTIONS,
    find: ' || !this.#takeOver.isAhead(this.#book.cursor())',
    replace: '',
    test: {
      file: FROZEN_TEST,
      name: 'the second one has brought nothing later: it proves nothing, and both are left',
    },
  },
  {
    name: 'what a second connection brought is lost with the book',
    why: 'the join waits for events that are there already',
    file: MACHINE,
    find: 'for (const waiting of events) this.#joiner.keep(waiting.event, waiting.received)',
    replace: '',
    test: {
      file: FROZEN_TEST,
      name: 'the first one is cut and the second one began later: the join has what the second one brought',
    },
  },
  {
    name: '429 is ignored',
    why: 'the next requests make a ban of it, for all captures behind the address',
    file: BUDGET,
    find: 'if (status !== 429 && status !== 418) return\n    const { allowance, onPause }',
    replace: 'if (status > 0) return\n    const { allowance, onPause }',
    test: {
      file: BUDGET_TEST,
      name: 'pause: after 429 nothing may leave before Retry-After, and its end is remembered in wall time',
    },
  },
  {
    name: 'Retry-After is not honoured',
    why: 'a ban is prolonged by every request that comes too early',
    file: BUDGET,
    find: 'allowance.pause(retryAfterMs > 0 ? retryAfterMs : unnamed)',
    replace: 'allowance.pause(unnamed)',
    test: {
      file: BUDGET_TEST,
      name: 'pause: after 429 nothing may leave before Retry-After, and its end is remembered in wall time',
    },
  },
  {
    name: 'a pause is not written to disk',
    why: 'a restart forgets the ban and makes it longer',
    file: 'capture/process/paused-until.ts',
    find: 'await replaceFile(this.#path, ',
    replace: 'await Promise.resolve(',
    test: { file: 'test/process/paused-until.test.ts', name: 'is kept over a restart, the latest of many' },
  },
  {
    name: 'the next run forgets a pause',
    why: 'a run after a full disk begins with requests that the exchange has forbidden',
    file: KEEPER,
    find: '      allowance: this.#allowance,\n',
    replace: '',
    test: { file: KEEPER_TEST, name: 'a ban holds for the next run and is remembered' },
  },
  {
    name: 'the end of a pause is not told anew after a step of the clock',
    why: 'a restart after a step forward sends before Retry-After',
    file: 'capture/feed/feed.ts',
    find: '    this.#allowance.followClock()\n',
    replace: '',
    test: {
      file: KEEPER_TEST,
      name: 'a ban lasts as long as it was given, however the clock is stepped meanwhile, and is kept in the new time',
    },
  },
  {
    name: 'each run has all attempts to connect',
    why: 'clocks that are stepped together make captures connect more often than the address may',
    file: 'capture/feed/socket.ts',
    find: 'const barred = !attempts.areFirst && attempts.barredMs(this) > 0',
    replace: 'const barred = false',
    test: { file: KEEPER_TEST, name: 'attempts to connect are counted over runs' },
  },
  {
    name: 'a rotation hides a step back of the clock',
    why: 'receive time stands still, and rows carry it, without a word',
    file: 'capture/process/run.ts',
    find: 'if (clock.wallDistance() >= -CLOCK_STEP_US) clock.anchor()',
    replace: 'clock.anchor()',
    test: {
      file: 'test/process/run.test.ts',
      name: 'a wall clock that was stepped back just before a boundary is no fresh anchor: the next tick ends the run',
    },
  },
  {
    name: 'ranks of weight are ignored',
    why: 'audits starve the joins of those who have no book',
    file: BUDGET,
    find: 'if (this.usedWeight + weight <= RANKS[rank] * this.weightLimit) return undefined',
    replace: 'if (this.usedWeight + weight <= this.weightLimit) return undefined',
    test: {
      file: BUDGET_TEST,
      name: 'weight: each rank is refused at its share of the limit, its own weight included',
    },
  },
  {
    name: 'attempts to connect without limit',
    why: 'two hundred captures that are cut at once are banned for calling back',
    file: 'capture/feed/attempts.ts',
    find: 'const barred = this.#fewerThanMs(this.#max)',
    replace: 'const barred = 0',
    test: {
      file: 'test/feed/attempts.test.ts',
      name: 'attempts: whatever captures do, all that one share allows stay below 300 in any five minutes',
    },
  },
  {
    name: 'a stall of our loop is not told',
    why: 'frames that the system dropped meanwhile are missing without a gap on streams without a chain',
    file: 'capture/feed/ticker.ts',
    find: 'if (lateUs > LATE_US_MAX) this.#onStall(Math.floor(lateUs / 1000))',
    replace: '',
    test: {
      file: 'test/feed/clock.test.ts',
      name: 'overload: a loop that stood still for more than 2 s is told before its late tick, and no tick is made up for',
    },
  },
  {
    name: 'a stall of our own is no gap',
    why: 'coverage claims the time in which nothing could be taken',
    file: SESSION,
    find: "[...this.#coverage.keys()],\n          'overload',",
    replace: "[],\n          'overload',",
    test: { file: GUARDS_TEST, name: 'gap: our own stall ends the coverage of every stream' },
  },
  {
    name: 'a disk that does not keep up is not told',
    why: 'what waits in memory is covered, and lost with the process',
    file: KEEPER,
    find: "if (stuckMs > 0) current.feed.overload(stuckMs, 'journal')",
    replace: '',
    test: {
      file: KEEPER_TEST,
      name: 'overload: two seconds without a byte accepted are told once, as the journal',
    },
  },
  {
    name: 'a clock that was stepped back goes on',
    why: 'receive time stands still: all rows until it catches up have one time',
    file: 'capture/process/run.ts',
    find: '} else if (distance < -CLOCK_STEP_US) {',
    replace: '} else if (distance < Number.NEGATIVE_INFINITY) {',
    test: {
      file: KEEPER_TEST,
      name: 'clock_step: the run ends in order, another one begins at once with a fresh anchor, and no halt',
    },
  },
  {
    name: 'receive time runs backwards',
    why: 'intervals of coverage end before they begin',
    file: 'capture/feed/clock.ts',
    find: 'if (time > this.#last) this.#last = time',
    replace: 'this.#last = time',
    test: {
      file: 'test/feed/clock.test.ts',
      name: 'receive time: after a step back it stands still until the wall clock has caught up',
    },
  },
  {
    name: 'coverage reaches back',
    why: 'events that were kept for a take-over came earlier: the interval would end before its last row',
    file: 'capture/session/ledger.ts',
    find: 'if (received > this.to) this.to = received',
    replace: 'this.to = received',
    test: {
      file: TAKE_OVER_TEST,
      name: 'what the second one had brought earlier takes nothing back from the reach of coverage',
    },
  },
]
