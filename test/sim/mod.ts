/**
 * The simulated exchange: Binance USD-M futures over real sockets and REST on one port of 127.0.0.1.
 *
 * In: a recording, or a seed and symbols; faults to inject. It promises the real protocol with its limits and
 * silences, recorded frames byte for byte, and the truth about all that it sent: ids, trades, and the book at
 * an id, for oracles to compare with what was captured. `core/mod.ts` is the same without sockets, for virtual
 * time; the pure part of generated markets is `market/mod.ts`.
 */
export type { SimEvent, Violations } from './core/mod.ts'
export { SimError, type SimErrorCode } from './errors.ts'
export { FAULT_KINDS, type FaultKindName, type FaultPlan, parseFaults } from './faults/mod.ts'
export {
  type MarketSimOptions,
  type RecordingOptions,
  type Sim,
  type SimOptions,
  startSim,
} from './sim.ts'
export type {
  Emitted,
  EmittedBatch,
  EmittedMark,
  EmittedTrade,
  Lie,
  LieLevel,
  TrueBook,
  WireLevel,
} from './source.ts'
