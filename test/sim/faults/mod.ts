/**
 * Faults on demand: a table of kinds (`table.ts` and its parts), plans, and the board on which they wait.
 *
 * In: plans with a time, what is about to go out, and clocks. Out: what goes out instead, and what was done to
 * whom. A fault is announced and counted when it acted.
 */
export { Faults } from './board.ts'
export type { Endpoint, FaultKind, FaultPlace, FaultStage } from './kind.ts'
export { type FaultPlan, parseFaults } from './plan.ts'
export { FAULT_KINDS, type FaultKindName, isFaultKind, kindOf } from './table.ts'
