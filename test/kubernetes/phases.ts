import type { TestContext } from 'node:test'

/** Says in the report how long each part of a test took, when it is over. */
export function phases(context: TestContext): (what: string) => void {
  let last = performance.now()
  return (what) => {
    const now = performance.now()
    context.diagnostic(`${((now - last) / 1000).toFixed(1)} s: ${what}`)
    last = now
  }
}
