-- One clean series: rows that are still proven, each once, in order, and never read across a hole.

-- The address of the bucket, a folder or s3://bucket/prefix, and the symbol: the only lines to change.
SET VARIABLE bucket = 'data';
SET VARIABLE symbol = 'BTCUSDT';
SET TimeZone = 'UTC';

CREATE OR REPLACE TEMP TABLE object AS
SELECT symbol, unnest(objects, max_depth := 2)
FROM read_json(getvariable('bucket') || '/manifest/**/*[0-9].json', hive_partitioning = false)
WHERE symbol = getvariable('symbol');
SET VARIABLE coverage = (
  SELECT list(getvariable('bucket') || '/' || key) FROM object WHERE stream = 'coverage');
SET VARIABLE books = (
  SELECT list(getvariable('bucket') || '/' || key) FROM object WHERE stream = 'books20');

CREATE OR REPLACE TEMP TABLE suspect AS
FROM read_parquet(getvariable('coverage'), hive_types = {'symbol': VARCHAR, 'date': DATE})
WHERE state = 'suspect' AND of_stream = 'books20';

-- In the order of the exchange's ids. A stretch begins where nothing proves that a row follows the one before: at a
-- gap, at the start of a run, and behind what was withdrawn. A connection that takes over meets the id before it.
CREATE OR REPLACE TEMP TABLE series AS
WITH proven AS (
  FROM read_parquet(getvariable('books'), hive_types = {'symbol': VARCHAR, 'date': DATE}) b
  ANTI JOIN suspect s ON s.run = b.run AND b.update_id > s.prev_id AND b.update_id <= s.last_id
),
once AS (
  FROM proven QUALIFY row_number() OVER (PARTITION BY update_id ORDER BY run, seq) = 1
),
linked AS (
  SELECT *, coalesce(prev_update_id > lag(update_id) OVER (ORDER BY update_id), true) AS begins FROM once
)
SELECT *, sum(begins::INT) OVER (ORDER BY update_id ROWS UNBOUNDED PRECEDING) AS stretch FROM linked;

SELECT stretch, count(*) AS books, min(received_time) AS from_time, max(received_time) AS to_time,
       min(update_id) AS first_id, max(update_id) AS last_id
FROM series GROUP BY stretch ORDER BY stretch;

-- The last book of each second. A second without an event keeps the book before it, but only within its stretch.
CREATE OR REPLACE TEMP TABLE grid AS
SELECT stretch, unnest(generate_series(
         time_bucket(INTERVAL 1 SECOND, min(received_time)) + INTERVAL 1 SECOND,
         time_bucket(INTERVAL 1 SECOND, max(received_time)), INTERVAL 1 SECOND)) AS at
FROM series GROUP BY stretch;

SELECT g.at, g.stretch, s.mid, s.microprice, s.spread, s.imbalance
FROM grid g ASOF JOIN series s ON s.stretch = g.stretch AND s.received_time <= g.at
ORDER BY g.at;
