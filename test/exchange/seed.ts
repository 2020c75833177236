/** Seed of this process's properties: printed, and taken back from the environment to repeat a failure. */
export const SEED = Number(process.env.FAST_CHECK_SEED ?? Date.now() % 2 ** 31)
console.log(`FAST_CHECK_SEED=${SEED}`)
