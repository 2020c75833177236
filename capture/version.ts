import manifest from '../package.json' with { type: 'json' }

/** Version of the program: a replay is compared with the trailer only by the version that wrote the segment. */
export const VERSION: string = manifest.version
