/** Faults of trades, of streams that fall silent, and of connections. */
import type { FaultKind } from './kind.ts'

const CLOSE_GOING_AWAY = 1001

export const SOCKET_KINDS = {
  trade_drop: { about: 'one trade is not sent', at: 'trade', copies: 0 },
  trade_repeat: { about: 'one trade is sent twice', at: 'trade', copies: 2 },

  silence: {
    about: "nothing comes on the symbol's streams of a route; pongs go on",
    durationMs: 30_000,
    at: 'silence',
    channels: 'route',
  },
  silence_depth: {
    about: "nothing comes on the symbol's depth",
    durationMs: 30_000,
    at: 'silence',
    channels: ['depth'],
  },
  silence_trades: {
    about: "nothing comes on the symbol's trades",
    durationMs: 30_000,
    at: 'silence',
    channels: ['aggTrade'],
  },
  silence_mark: {
    about: "nothing comes on the symbol's mark price",
    durationMs: 30_000,
    at: 'silence',
    channels: ['markPrice'],
  },
  half_open: {
    about: "the symbol's connections stay open and dead: no frames, no pongs, no end",
    at: 'socket',
    act: (connection) => connection.silenceForGood('half_open'),
  },

  cut: {
    about: "the symbol's connections end without a close frame",
    at: 'socket',
    act: (connection) => connection.terminate(),
  },
  close: {
    about: "the symbol's connections end with a close frame",
    value: { means: 'close code', otherwise: CLOSE_GOING_AWAY },
    at: 'socket',
    act: (connection, code) => connection.close(code, 'Going away'),
  },
  refuse: {
    about: 'new connections are refused, by a reset or with HTTP 503',
    durationMs: 10_000,
    at: 'handshake',
    answer: (random) =>
      random.chance(0.5) ? { kind: 'reset' } : { kind: 'refused', status: 503, retryAfterSeconds: 0 },
  },
  refuse_429: {
    about: 'new connections are answered with 429 and Retry-After',
    durationMs: 10_000,
    at: 'handshake',
    answer: (_random, leftSeconds) => ({ kind: 'refused', status: 429, retryAfterSeconds: leftSeconds }),
  },
  hang_handshake: {
    about: 'a new connection gets no answer',
    at: 'handshake',
    answer: () => ({ kind: 'hang' }),
  },
} as const satisfies Record<string, FaultKind>
