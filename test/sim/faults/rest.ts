/** Faults of REST: snapshots that are old, short or early, and answers that are none. */
import type { SimAnswer, SimPiece } from '../core/transport.ts'
import type { LieLevel, WireLevel } from '../source.ts'
import type { FaultKind, Spoiling } from './kind.ts'

const SLOW_PIECES = 8
const RETRY_AFTER_SECONDS = 10
const BAN_SECONDS = 120

export const REST_KINDS = {
  stale_snapshot: {
    about: 'one snapshot is old, though true at its id',
    value: { means: 'seconds behind', otherwise: 5 },
    generated: true,
    at: 'snapshot',
    answer: (fault, seconds) => ({ body: fault.ago(seconds * 1000) }),
  },
  cached_snapshot: {
    about: 'snapshots are answered with the same body again',
    durationMs: 30_000,
    at: 'snapshot',
    answer({ memory, limit, fresh }) {
      const kept = memory.get(String(limit))
      if (kept !== undefined) return { body: kept }
      memory.set(String(limit), fresh)
      return undefined
    },
  },
  short_snapshot: {
    about:
      'one snapshot holds the better half of its levels though more exist, so it claims that there are none; ' +
      'nothing in it tells: the next audit finds the missing levels inside its own reach',
    at: 'snapshot',
    answer({ fresh }) {
      const whole = JSON.parse(fresh) as { readonly bids: WireLevel[]; readonly asks: WireLevel[] }
      const [bids, asks] = [half(whole.bids), half(whole.asks)]
      const lie = [
        ...whole.bids.slice(bids.length).map(([price]): LieLevel => ['bid', price]),
        ...whole.asks.slice(asks.length).map(([price]): LieLevel => ['ask', price]),
      ]
      return lie.length === 0 ? undefined : { body: JSON.stringify({ ...whole, bids, asks }), lie }
    },
  },
  crossed_snapshot: {
    about: 'one snapshot holds the best ask as its best bid too: no book can be so, and it is to be refused',
    at: 'snapshot',
    answer({ fresh }) {
      const whole = JSON.parse(fresh) as { readonly bids: WireLevel[]; readonly asks: WireLevel[] }
      const [ask] = whole.asks
      if (ask === undefined) return undefined
      return { body: JSON.stringify({ ...whole, bids: [ask, ...whole.bids.slice(0, -1)] }) }
    },
  },
  ahead_snapshot: {
    about: 'one snapshot is ahead of what the streams bring: their frames come late, all at once',
    value: { means: 'seconds ahead', otherwise: 2 },
    at: 'snapshot',
    answer({ hold, fresh }, seconds) {
      hold(seconds * 1000)
      return { body: fresh }
    },
  },

  rest_429: {
    about: 'the address is told to wait, with 429 and Retry-After',
    value: { means: 'seconds to wait', otherwise: RETRY_AFTER_SECONDS },
    at: 'answer',
    spoil: (fault) => banned(fault, 429, -1003, 'Too many requests'),
  },
  rest_418: {
    about: 'the address is banned, with 418 and Retry-After',
    value: { means: 'seconds of the ban', otherwise: BAN_SECONDS },
    at: 'answer',
    spoil: (fault) => banned(fault, 418, -1003, 'Way too many requests; IP banned'),
  },
  rest_5xx: {
    about: 'one request is answered with an error of the exchange',
    value: { means: 'status', otherwise: 502 },
    at: 'answer',
    spoil: ({ answer, value }) => said(answer, value, 'text/html', '<html>Bad Gateway</html>'),
  },
  rest_hang: {
    about: 'one request is never answered',
    at: 'answer',
    spoil: ({ answer }) => ({ ...answer, pieces: [], end: 'hang', afterMs: Number.POSITIVE_INFINITY }),
  },
  slow_body: {
    about: 'one answer comes in pieces, slowly',
    value: { means: 'seconds in all', otherwise: 4 },
    at: 'answer',
    spoil: ({ answer, value }) => ({ ...answer, pieces: pieces(answer, (value * 1000) / SLOW_PIECES) }),
  },
  rest_reset: {
    about: 'the connection is reset in the middle of one answer',
    at: 'answer',
    spoil: ({ answer }) => ({ ...answer, pieces: pieces(answer, 0).slice(0, SLOW_PIECES / 2), end: 'reset' }),
  },
  rest_garbage: {
    about: 'one answer is 200 and holds half of its JSON',
    at: 'answer',
    spoil: ({ answer }) => {
      const body = Buffer.concat(answer.pieces.map((piece) => piece.bytes))
      return said(answer, 200, 'application/json', body.subarray(0, body.length >> 1))
    },
  },
  rest_html: {
    about: 'one answer is 200 and a web page',
    at: 'answer',
    spoil: ({ answer }) => said(answer, 200, 'text/html', '<!doctype html><html><body>Welcome</body></html>'),
  },
} as const satisfies Record<string, FaultKind>

function half(levels: readonly WireLevel[]): WireLevel[] {
  return levels.slice(0, Math.ceil(levels.length / 2))
}

function banned({ answer, address, value, stage }: Spoiling, status: number, code: number, msg: string) {
  stage.ban(address, status, value)
  const spoilt = said(answer, status, 'application/json', JSON.stringify({ code, msg }))
  return { ...spoilt, headers: { ...spoilt.headers, 'retry-after': String(value) } }
}

/** The answer with another status and body; what it says of the used weight stays. */
function said(answer: SimAnswer, status: number, type: string, body: string | Uint8Array): SimAnswer {
  const bytes = Buffer.from(body)
  const headers = { ...answer.headers, 'content-type': type, 'content-length': String(bytes.length) }
  return { ...answer, status, headers, pieces: [{ afterMs: 0, bytes }] }
}

/** The body in so many parts, with a wait before each. */
function pieces(answer: SimAnswer, afterMs: number): SimPiece[] {
  const body = Buffer.concat(answer.pieces.map((piece) => piece.bytes))
  const length = Math.max(1, Math.ceil(body.length / SLOW_PIECES))
  return Array.from({ length: Math.ceil(body.length / length) }, (_, part) => ({
    afterMs,
    bytes: body.subarray(part * length, (part + 1) * length),
  }))
}
