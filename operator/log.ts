import { type Logger, pino } from 'pino'

/** JSON lines on standard output, one a decision: who, which symbol, what, and why. */
export function makeLog(identity: string): Logger {
  const level = process.env['L2CAP_LOG_LEVEL'] ?? 'info'
  return pino({ level, base: { operator: identity }, timestamp: pino.stdTimeFunctions.isoTime })
}
