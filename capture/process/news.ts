/** What a capture tells its parent of coverage besides its status: the names and times that people read. */
import { streamPath } from '../../api/streams.ts'
import { formatTimeUs } from '../ship/mod.ts'
import type { CoverageNews } from './live-rows.ts'
import type { CaptureStatus } from './status.ts'

/** Streams by their names in paths, times in RFC 3339. */
export type ToldNews =
  | {
      readonly news: 'gap'
      readonly stream: string
      readonly reason: string
      readonly detail: string
      /** The last evidence before it. */
      readonly from: string
    }
  | { readonly news: 'covered'; readonly stream: string; readonly from: string }

/** One message over the channel to the parent. */
export type Told = CaptureStatus | ToldNews

export function toldNews(news: CoverageNews, bookLevels: number): ToldNews {
  return { ...news, stream: streamPath(news.stream, bookLevels), from: formatTimeUs(news.from) }
}
