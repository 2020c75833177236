/**
 * What the stand-in kubelet needs of an API server; the client of the tests satisfies it. Failures carry the HTTP
 * status.
 */
export interface KubeletApi {
  get<T>(path: string): Promise<T>
  send<T>(method: string, path: string, body?: unknown, contentType?: string): Promise<T>
  /** One watch: resolves when the server ends it, rejects when it breaks. */
  watch(path: string, onEvent: (event: WatchEvent) => void, signal: AbortSignal): Promise<void>
}

export interface WatchEvent {
  readonly type: string
  readonly object: unknown
}

/** The HTTP status of a failed call, or undefined where there was no answer. */
export function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('status' in error)) return undefined
  return typeof error.status === 'number' ? error.status : undefined
}

export const STRATEGIC_MERGE = 'application/strategic-merge-patch+json'
export const MERGE = 'application/merge-patch+json'
