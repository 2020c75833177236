/** What a pino logger offers of itself. */
export interface FeedLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}
