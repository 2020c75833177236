import { nodeTimers } from '../feed/mod.ts'

/** Resolves after so many milliseconds. */
export function wait(ms: number): Promise<undefined> {
  return new Promise((done) => nodeTimers.after(ms, () => done(undefined)))
}
