/** Faults of the exchange as a whole: its clock, its upkeep, its listing, and a book that loses a side. */
import type { FaultKind } from './kind.ts'

export const EXCHANGE_KINDS = {
  skew: {
    about: "the exchange's clock is off from now on, for all symbols",
    value: { means: 'milliseconds ahead of the true one', otherwise: 2000 },
    at: 'exchange',
    whole: true,
    begin: (stage, _symbol, ms) => stage.skew(ms),
  },
  empty_side: {
    about: "the symbol's book loses a whole side, in its events and snapshots alike",
    durationMs: 30_000,
    value: { means: '0 for bids, 1 for asks', otherwise: 1 },
    generated: true,
    at: 'exchange',
    begin: (stage, symbol, side) => stage.empty(symbol, side === 0 ? 'bid' : 'ask'),
    end: (stage, symbol) => stage.refill(symbol),
  },
  maintenance: {
    about: 'for all symbols: connections end, new ones and REST get 503; ids go on afterwards',
    durationMs: 60_000,
    at: 'exchange',
    whole: true,
    begin: (stage) => stage.maintain(true),
    end: (stage) => stage.maintain(false),
  },
  id_reset: {
    about: 'a maintenance after which the ids of all books begin anew, lower',
    durationMs: 60_000,
    generated: true,
    at: 'exchange',
    whole: true,
    begin: (stage) => stage.maintain(true),
    end(stage) {
      stage.restartIds()
      stage.maintain(false)
    },
  },
  halt_trading: {
    about: 'the symbol is listed as not trading, and its streams are silent',
    durationMs: 60_000,
    generated: true,
    at: 'exchange',
    begin: (stage, symbol) => stage.list(symbol, 'SETTLING'),
    end: (stage, symbol) => stage.list(symbol, undefined),
  },
  delist: {
    about: 'the symbol leaves the listing for good; REST answers -1121, its streams are silent',
    generated: true,
    at: 'exchange',
    begin: (stage, symbol) => stage.list(symbol, 'absent'),
  },
} as const satisfies Record<string, FaultKind>
