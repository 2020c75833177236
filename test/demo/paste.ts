/** Lines to paste that look at the data: without indentation, which Python would not take. */

/** For `data`, a directory as the user's shell sees it, and one of its symbols. */
export function pasteLines(data: string, symbol: string): string[] {
  const market = `${data}/parquet/exchange=BinanceUsdm/symbol=${encodeURIComponent(symbol)}`
  const all = `${data}/parquet/*/*`
  return [
    '-- DuckDB: best bid and ask of every symbol, the latest five',
    `SELECT symbol, received_time, best_bid_price, best_ask_price, spread`,
    `FROM read_parquet('${all}/stream=books20/*/*.parquet', hive_partitioning = true)`,
    `ORDER BY received_time DESC LIMIT 5;`,
    '',
    '-- DuckDB: the gaps, from when to when, and why',
    `SELECT symbol, of_stream, ended_by, to_time AS gap_from,`,
    `       lead(from_time) OVER (PARTITION BY symbol, of_stream ORDER BY run, seq) AS gap_to, detail`,
    `FROM read_parquet('${all}/stream=coverage/*/*.parquet', hive_partitioning = true)`,
    `WHERE state <> 'suspect' QUALIFY ended_by <> 'stopped' ORDER BY gap_from;`,
    '',
    '-- DuckDB: what was published and is withdrawn',
    `SELECT symbol, of_stream, run, prev_id, last_id, from_time, to_time, ended_by`,
    `FROM read_parquet('${all}/stream=coverage/*/*.parquet', hive_partitioning = true)`,
    `WHERE state = 'suspect' ORDER BY from_time;`,
    '',
    '# Polars',
    `import polars as pl`,
    `books = pl.scan_parquet('${market}/stream=books20/*/*.parquet')`,
    `print(books.select('received_time', 'best_bid_price', 'best_ask_price', 'spread').tail(5).collect())`,
    '',
    '# pandas',
    `import pandas as pd`,
    `coverage = pd.read_parquet('${market}/stream=coverage')`,
    `print(coverage[['of_stream', 'from_time', 'to_time', 'rows', 'state', 'ended_by']].to_string())`,
  ]
}
