-- The full-depth book at an instant, rebuilt from `depth`, and held against `books20` at the same id.

-- The address of the bucket, a folder or s3://bucket/prefix, and the symbol: the only lines to change.
SET VARIABLE bucket = 'data';
SET VARIABLE symbol = 'BTCUSDT';
SET TimeZone = 'UTC';

CREATE OR REPLACE TEMP TABLE object AS
SELECT symbol, run, "window", unnest(objects, max_depth := 2)
FROM read_json(getvariable('bucket') || '/manifest/**/*[0-9].json', hive_partitioning = false)
WHERE symbol = getvariable('symbol');

-- Any time will do: TIMESTAMPTZ '2026-11-22 12:04:57.5+00'. Here it is the middle of what was captured.
SET VARIABLE instant = (
  SELECT make_timestamp((epoch_us(min(first_time)) + epoch_us(max(last_time))) // 2)::TIMESTAMPTZ
  FROM object WHERE stream = 'books20');

-- The last book at that time.
SET VARIABLE books = (
  SELECT list(getvariable('bucket') || '/' || key)
  FROM object WHERE stream = 'books20' AND first_time <= getvariable('instant'));
CREATE OR REPLACE TEMP TABLE wanted AS
FROM read_parquet(getvariable('books'), hive_types = {'symbol': VARCHAR, 'date': DATE})
WHERE received_time <= getvariable('instant')
ORDER BY update_id DESC LIMIT 1;

-- The depth of its window. Each file reads alone.
SET VARIABLE depth = (
  SELECT list(getvariable('bucket') || '/' || d.key)
  FROM wanted w
  JOIN object b ON b.stream = 'books20' AND b.run = w.run AND w.seq BETWEEN b.first_seq::BIGINT AND b.last_seq::BIGINT
  JOIN object d ON d.stream = 'depth' AND d.run = b.run AND d."window" = b."window");

-- From the last whole book (a snapshot, or our own) up to the id.
CREATE OR REPLACE TEMP TABLE depth AS
WITH rows_of_window AS (
  FROM read_parquet(getvariable('depth'), hive_types = {'symbol': VARCHAR, 'date': DATE})
),
target AS (
  SELECT seq FROM rows_of_window WHERE kind = 'delta' AND update_id = (SELECT update_id FROM wanted)
)
FROM rows_of_window
WHERE seq <= (SELECT seq FROM target)
  AND seq >= (SELECT max(seq) FROM rows_of_window WHERE kind <> 'delta' AND seq <= (SELECT seq FROM target));

-- Quantities are absolute: the last one of a price holds, and 0 removes it. Between two whole books the reach only
-- moves inwards, so it is enough to cut at that of the last row.
CREATE OR REPLACE TEMP TABLE book AS
WITH level AS (
  SELECT seq, 'bid' AS side, unnest(bid_prices) AS price, unnest(bid_qtys) AS qty FROM depth
  UNION ALL
  SELECT seq, 'ask', unnest(ask_prices), unnest(ask_qtys) FROM depth
),
reach AS (SELECT bid_reach, ask_reach FROM depth ORDER BY seq DESC LIMIT 1)
SELECT side, price, arg_max(qty, seq) AS qty
FROM level, reach
WHERE CASE side WHEN 'bid' THEN price >= bid_reach ELSE price <= ask_reach END
GROUP BY side, price HAVING arg_max(qty, seq) > 0;

SELECT w.received_time, w.run, w.update_id, count(*) FILTER (side = 'bid') AS bids,
       count(*) FILTER (side = 'ask') AS asks, min(price) AS lowest_bid, max(price) AS highest_ask,
       max(price) FILTER (side = 'bid') AS best_bid, min(price) FILTER (side = 'ask') AS best_ask
FROM book, wanted w GROUP BY ALL;

-- Is it proven? A row here withdraws it: it was captured so, but nothing vouches for it any more.
SET VARIABLE coverage = (
  SELECT list(getvariable('bucket') || '/' || key) FROM object WHERE stream = 'coverage');
SELECT c.from_time AS suspect_from, c.to_time AS suspect_to, c.ended_by, c.detail
FROM read_parquet(getvariable('coverage'), hive_types = {'symbol': VARCHAR, 'date': DATE}) c
JOIN wanted w ON w.run = c.run AND w.update_id > c.prev_id AND w.update_id <= c.last_id
WHERE c.state = 'suspect' AND c.of_stream = 'depth';

-- Level by level against books20: no row is right.
WITH rebuilt AS (
  SELECT side, price, qty,
         row_number() OVER (PARTITION BY side ORDER BY CASE side WHEN 'bid' THEN -price ELSE price END) - 1 AS level
  FROM book
),
published AS (
  SELECT regexp_extract(name, '^[a-z]+') AS side, regexp_extract(name, '[0-9]+$')::INT AS level,
         max(value) FILTER (name LIKE '%price%') AS price, max(value) FILTER (name LIKE '%qty%') AS qty
  FROM (UNPIVOT (SELECT COLUMNS('^(bid|ask)_(price|qty)_[0-9]+$') FROM wanted) ON * INTO NAME name VALUE value)
  GROUP BY ALL
)
SELECT side, level, p.price AS published_price, p.qty AS published_qty, r.price AS rebuilt_price, r.qty AS rebuilt_qty
FROM published p LEFT JOIN rebuilt r USING (side, level)
WHERE (p.price, p.qty) IS DISTINCT FROM (r.price, r.qty) ORDER BY side, level;
