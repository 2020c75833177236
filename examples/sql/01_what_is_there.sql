-- What is there: windows, files and rows as the manifests list them, then a first look at trades and books.

-- The address of the bucket, a folder or s3://bucket/prefix, and the symbol: the only lines to change.
SET VARIABLE bucket = 'data';
SET VARIABLE symbol = 'BTCUSDT';
SET TimeZone = 'UTC';

-- One row a window. A manifest is the commit: what it does not list is not there yet.
-- (The pattern leaves out files such as ….cut.json.)
CREATE OR REPLACE TEMP TABLE manifest AS
SELECT * FROM read_json(getvariable('bucket') || '/manifest/**/*[0-9].json', hive_partitioning = false);

-- One row a file.
CREATE OR REPLACE TEMP TABLE object AS
SELECT exchange, symbol, run, "window", unnest(objects, max_depth := 2) FROM manifest;

-- Windows of a run count from 0 without holes.
SELECT symbol, run, count(*) AS windows, max("window") + 1 - count(*) AS windows_missing,
       min(opened) AS opened, max(closed) AS closed
FROM manifest GROUP BY ALL ORDER BY symbol, run;

SELECT symbol, stream, count(*) AS files, sum("rows") AS "rows", sum(bytes) AS bytes
FROM object GROUP BY ALL ORDER BY ALL;

-- The documented way to read: a list of files, taken from manifests.
SET VARIABLE trades = (
  SELECT list(getvariable('bucket') || '/' || key)
  FROM object WHERE symbol = getvariable('symbol') AND stream = 'trades');
SET VARIABLE books = (
  SELECT list(getvariable('bucket') || '/' || key)
  FROM object WHERE symbol = getvariable('symbol') AND stream = 'books20');

-- Trades by the minute.
SELECT time_bucket(INTERVAL 1 MINUTE, trade_time) AS minute, count(*) AS trades,
       arg_min(price, trade_id) AS open, max(price) AS high, min(price) AS low, arg_max(price, trade_id) AS close,
       sum(qty) AS volume, sum(price * qty) / sum(qty) AS vwap,
       sum(qty) FILTER (side = 'buy') / sum(qty) AS taker_buy_share
FROM read_parquet(getvariable('trades'), hive_types = {'symbol': VARCHAR, 'date': DATE})
GROUP BY minute ORDER BY minute;

-- Books by the minute: spread in basis points of the mid price, and how far the microprice leans from the mid.
SELECT time_bucket(INTERVAL 1 MINUTE, received_time) AS minute, count(*) AS books,
       avg(spread / mid) * 1e4 AS spread_bps, quantile_cont(spread / mid, 0.99) * 1e4 AS spread_bps_p99,
       avg(microprice - mid) AS microprice_lean, avg(imbalance) AS imbalance
FROM read_parquet(getvariable('books'), hive_types = {'symbol': VARCHAR, 'date': DATE})
GROUP BY minute ORDER BY minute;
