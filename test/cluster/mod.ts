/**
 * A real API server for tests, a plain client of it, and a proxy before it that breaks what can break. Imports
 * nothing of the product but crds/, so that a mistake of the operator cannot hide in its own tests.
 */
export type { AuditEvent, AuditFilter } from './audit.ts'
export { ApiClient, ApiFailure, type WatchEvent } from './client.ts'
export type { Cluster, PolicyRule, ServiceAccountAccess, TestContext } from './cluster.ts'
export { type ControlPlane, ownControlPlane, startControlPlane } from './control-plane.ts'
export {
  clusterProblem,
  givenKubeconfig,
  kubectlProblem,
  ownClusterProblem,
  type Program,
  programPath,
} from './programs.ts'
export { openCluster } from './shared.ts'
