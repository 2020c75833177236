/** The simulator as the demo starts it: it ends with the demo, however that ends. */
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
await import('../sim/main.ts')

export {}
