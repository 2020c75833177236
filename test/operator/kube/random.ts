/** Even numbers in [0, 1) that only depend on the seed: Marsaglia's xorshift on 32 bits. */
export function randomOf(seed: number): () => number {
  let state = (seed | 0) === 0 ? 0x9e3779b9 : seed | 0
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}
