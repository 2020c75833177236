/**
 * One capture process: one symbol. Configuration is JSON in L2CAP_CONFIG, or in the file named by the first
 * argument. SIGTERM or SIGINT drains; a second one syncs and leaves. Exit codes: 0 drained, 1 internal error,
 * 2 wrong configuration, 10 and above one for each halt.
 *
 * This file only turns on the cache of compiled code, before anything large is loaded: it halves the time to the
 * first row of every start but the first. Where the cache cannot be written, nothing is lost.
 */
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache')
enableCompileCache(process.env['NODE_COMPILE_CACHE'] || join(cache, 'l2cap', 'compiled'))
await import('./process/main.ts')
