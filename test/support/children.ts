/** Processes that tests start must not outlive them. */
import { spawnSync } from 'node:child_process'

/**
 * A command to put before another, so that it is killed when this process ends, however it ends; none where the
 * machine has no setpriv.
 */
export const DIES_WITH_US: readonly string[] = diesWithUs()

function diesWithUs(): readonly string[] {
  const command = ['setpriv', '--pdeathsig', 'KILL']
  return spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0 ? command : []
}
