/**
 * What the image of the world runs, by its first argument: `server` and `mc` where it stands in for MinIO's images,
 * the pod of exchange and store otherwise.
 */
const [program = '', ...args] = process.argv.slice(2)
if (program === 'server') (await import('./minio.ts')).serve(args)
else if (program === 'mc') await (await import('./minio.ts')).client(args)
else await import('./main.ts')
