/**
 * The simulated exchange without sockets: one core for real servers and for a harness in virtual time.
 *
 * In: a clock with timers, a market's seed or a recording, and the calls of whatever carries the bytes. Out:
 * calls to the clients' ends, REST answers with their pace, and the truth. It never looks at a clock of its own
 * and draws all randomness from its seed, so that the same seed and the same calls give the same bytes.
 */
export {
  type CoreOptions,
  type GeneratedExchange,
  type RecordedExchange,
  type SimEvent,
  SimExchange,
  type SimExchangeOptions,
} from './exchange.ts'
export type { Violations } from './limits.ts'
export { SOCKET_LIMITS, type SocketLimits } from './session.ts'
export { MACHINE_TIME, ManualTime, type SimTime } from './time.ts'
export type { Handshake, SimAnswer, SimConnection, SimPeer, SimPiece } from './transport.ts'
