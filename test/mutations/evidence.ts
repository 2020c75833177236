/** What keeps coverage honest: silence as a question, audits, and the clock. */
import type { Mutation } from './mutation.ts'

const AUDIT = 'capture/session/audit.ts'
const CLOCK = 'capture/session/clock-guard.ts'
const GUARDS = 'capture/session/book-guards.ts'
const MACHINE = 'capture/session/book-machine.ts'
const MARKET = 'capture/session/market-machine.ts'
const MARKS = 'capture/session/mark-stream.ts'
const QUESTIONS = 'capture/session/book-questions.ts'
const SILENCE = 'capture/session/silence.ts'
const SLOT = 'capture/session/request-slot.ts'

const AUDIT_TEST = 'test/session/audit.test.ts'
const CLOCK_TEST = 'test/session/clock.test.ts'
const GUARDS_TEST = 'test/session/guards.test.ts'
const MARKET_TEST = 'test/session/market.test.ts'
const SILENCE_TEST = 'test/session/silence.test.ts'

export const EVIDENCE: readonly Mutation[] = [
  {
    name: 'coverage by tick',
    why: 'a feed that froze is covered for as long as the process lives',
    file: MACHINE,
    find: 'if (this.#listens()) this.#askSilence(received, effects)',
    replace:
      'if (this.#isLive()) this.live.prove(received)\n    if (this.#listens()) this.#askSilence(received, effects)',
    test: {
      file: SILENCE_TEST,
      name: 'without an answer coverage ends with its last event, whatever the ticks say',
    },
  },
  {
    name: 'silence is proven up to the answer',
    why: 'an event between the request and its answer would lie inside what is proven quiet',
    file: MACHINE,
    find: 'this.live.prove(sentAt)',
    replace: 'this.live.prove(received)',
    test: {
      file: SILENCE_TEST,
      name: 'the same id: quiet, and coverage reaches to the moment when the request was sent',
    },
  },
  {
    name: 'an equal id is quiet whatever the levels say',
    why: 'a wrong book is vouched for by the very answer that shows it',
    file: QUESTIONS,
    find: "return difference ?? 'quiet'",
    replace: "return 'quiet'",
    test: {
      file: SILENCE_TEST,
      name: 'the same id with other levels: audit_mismatch, with what vouched for the rows withdrawn',
    },
  },
  {
    name: 'half a book is evidence against ours',
    why: 'one broken answer withdraws what vouched for a sound book',
    file: QUESTIONS,
    find: "if (theirs.fault() !== undefined) return 'open'",
    replace: '',
    test: {
      file: GUARDS_TEST,
      name: 'in an audit or in a proof of silence it is void: the book stays',
    },
  },
  {
    name: 'a price that was sent again is silence',
    why: 'a connection that brings a frame each second is cut again and again',
    file: MARKS,
    find: 'this.heard(received)\n    if (mark',
    replace: 'if (mark.eventTime > this.#lastTime) this.heard(received)\n    if (mark',
    test: {
      file: MARKET_TEST,
      name: 'a price that was published already is a frame, so no silence, and no evidence, so no coverage',
    },
  },
  {
    name: 'a price that was sent again is evidence',
    why: 'an edge that repeats its last price for hours is covered',
    file: MARKS,
    find: "if (this.#earlier < EARLIER_MAX) return this.#shared.counters.add('mark_prices_repeated')",
    replace:
      "if (this.coverage.open) this.coverage.advance(0n, received)\n      if (this.#earlier < EARLIER_MAX) return this.#shared.counters.add('mark_prices_repeated')",
    test: {
      file: MARKET_TEST,
      name: 'a price that was published already is a frame, so no silence, and no evidence, so no coverage',
    },
  },
  {
    name: 'prices that were passed over are no gap',
    why: 'a minute of prices is missing where the exchange set its clock back, and coverage claims it',
    file: MARKS,
    find: "this.end('no_data', `prices of",
    replace: "if (received < 0) this.end('no_data', `prices of",
    test: {
      file: MARKET_TEST,
      name: 'a clock of the exchange that was set back: published in the end, and what was passed over is a gap',
    },
  },
  {
    name: 'answers about the last trade that do not decode, for ever',
    why: 'the silence of trades is never proven again, and nobody is told',
    file: MARKET,
    find: 'if (this.#bad.add()) {',
    replace: 'if (false) {',
    test: {
      file: MARKET_TEST,
      name: 'halt ProtocolChanged: ten answers in a row that do not decode, and nine never',
    },
  },
  {
    name: 'answers from the past are believed',
    why: 'a node of the exchange that lags makes a sound book a mismatch',
    file: QUESTIONS,
    find: ' || this.#isOld(proof, received)',
    replace: '',
    test: {
      file: SILENCE_TEST,
      name: 'an own time more than two seconds behind: nothing is concluded, coverage does not advance',
    },
  },
  {
    name: 'a later id alone is frozen',
    why: 'ids count more than the book: quiet symbols would be reconnected for ever',
    file: QUESTIONS,
    find: 'if (difference !== undefined) this.silence.doubt(received)',
    replace: 'this.silence.doubt(received)',
    test: {
      file: SILENCE_TEST,
      name: 'a later id with equal levels: nothing is concluded, coverage does not advance',
    },
  },
  {
    name: 'a doubt is never judged',
    why: 'a frozen feed stays the source of a book that looks live',
    file: SILENCE,
    find: 'this.#verdictAt = received + VERDICT_WAIT_US',
    replace: 'this.#verdictAt = 0',
    test: {
      file: SILENCE_TEST,
      name: 'a later id, other levels and no event within two seconds more: gap stale from the last event, reconnect',
    },
  },
  {
    name: 'frozen connections are not counted',
    why: 'a feed that freezes each time is retried for ever, and nobody is told',
    file: GUARDS,
    find: 'if (!this.#frozen.add(liveForUs)) {',
    replace: 'if (!this.#frozen.add(liveForUs) || received > 0) {',
    test: { file: SILENCE_TEST, name: 'on three connections in a row: halt StaleFeed' },
  },
  {
    name: 'a socket that answered no ping just closed',
    why: 'its silence before was claimed as a reconnect, and never counts as frozen',
    file: MACHINE,
    find: 'const frozen = silent && this.#listens()',
    replace: 'const frozen = silent && received < 0',
    test: { file: SILENCE_TEST, name: 'a socket that answered no ping counts too: gap stale' },
  },
  {
    name: 'mark prices may be silent for ever',
    why: 'nothing chains them: a dead stream looks like a quiet one',
    file: MARKS,
    find: 'if (received < this.#dueAt) return false',
    replace: 'if (received > 0) return false',
    test: { file: MARKET_TEST, name: 'no frame for five seconds: no_data, and its socket reconnects' },
  },
  {
    name: 'the silence of trades is not questioned',
    why: 'trades that are not delivered look like none were made',
    file: MARKET,
    find: 'if (this.trades !== undefined && this.#shared.clock.ready) this.#askTrades(received, effects)',
    replace: '',
    test: {
      file: MARKET_TEST,
      name: 'a later id and no trade within two seconds: no_data, and its socket reconnects',
    },
  },
  {
    name: 'an audit is compared at its own id',
    why: 'that id falls inside a merged event: sound books would be mismatches',
    file: AUDIT,
    find: 'for (let i = start; i < this.#events.length; i++) {',
    replace: 'for (let i = this.#events.length; i < this.#events.length; i++) {',
    test: {
      file: AUDIT_TEST,
      name: 'is joined inside a merged event and replayed up to the cursor, not compared at its own id',
    },
  },
  {
    name: 'an audit that differs is clean',
    why: 'a wrong book is never found',
    file: QUESTIONS,
    find: 'const difference = differenceOf(this.#live.book, audited)\n    if (difference !== undefined) {',
    replace: 'const difference = undefined\n    if (difference !== undefined) {',
    test: {
      file: AUDIT_TEST,
      name: 'gap audit_mismatch: one level differs, and what vouched for the rows since the join is withdrawn',
    },
  },
  {
    name: 'a mismatch withdraws nothing',
    why: 'the rows before it stay vouched for, though nobody knows since when they are wrong',
    file: GUARDS,
    find: "this.#live.suspect('audit_mismatch', detail, effects)",
    replace: '',
    test: {
      file: AUDIT_TEST,
      name: 'the span reaches over several windows back to the last clean audit, and only its last row stands in this one',
    },
  },
  {
    name: 'a gap leaves the audit on its way',
    why: 'the new book is held against a snapshot that was asked for the old one',
    file: QUESTIONS,
    find: 'this.silence.rest(effects)\n    this.voidAudit(effects)',
    replace: 'this.silence.rest(effects)',
    test: {
      file: AUDIT_TEST,
      name: 'that a gap overtakes is void, its request is forgotten, and its answer counted and ignored',
    },
  },
  {
    name: 'answers to forgotten requests are taken',
    why: 'a snapshot from before a gap becomes the book after it',
    file: SLOT,
    find: 'retryAt: number): boolean {\n    if (request !== this.#request) return false',
    replace: 'retryAt: number): boolean {\n    if (request < 0) return false',
    test: { file: 'test/session/chain.test.ts', name: 'ignores and counts an answer that nobody waits for' },
  },
  {
    name: 'a clock that is off goes on',
    why: 'receive times of rows are wrong by as much',
    file: CLOCK,
    find: "if (surely <= this.#skewMaxUs) return ''",
    replace: "if (surely >= 0) return ''",
    test: {
      file: CLOCK_TEST,
      name: 'halt ClockSkew: the median of five is off by more than 500 ms for sure',
    },
  },
  {
    name: 'live before the clock is known',
    why: 'rows get receive times that nobody has compared with anything',
    file: CLOCK,
    find: 'return this.#probes.length === MEDIAN_OF',
    replace: 'return this.#probes.length >= 0',
    test: { file: CLOCK_TEST, name: 'no stream is live before five probes; then the waiting book joins' },
  },
  {
    name: 'an old answer begins the coverage of trades',
    why: 'ids that were published are claimed, and published, once more',
    file: 'capture/session/trade-stream.ts',
    find: 'if (expected.id < this.lastId) return false',
    replace: '',
    test: {
      file: MARKET_TEST,
      name: 'an answer from before the last row begins no coverage: no id is claimed twice',
    },
  },
]
