import { type Logger, pino } from 'pino'

/** JSON lines on standard output; readable ones where a person watches. Never a line a frame. */
export async function makeLog(fields: Readonly<Record<string, string>>, pretty: boolean): Promise<Logger> {
  const level = process.env['L2CAP_LOG_LEVEL'] ?? 'info'
  if (!pretty) return pino({ level, base: fields, timestamp: pino.stdTimeFunctions.isoTime })
  // loaded only where it is used: a pod never needs it
  const { default: format } = await import('pino-pretty')
  const stream = format({
    colorize: process.stdout.isTTY,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname,symbol,exchange',
    messageFormat: '{symbol} {msg}',
  })
  return pino({ level, base: fields }, stream)
}
