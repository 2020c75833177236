-- What is proven: unbroken stretches of each stream, after everything suspect is withdrawn.

-- The address of the bucket, a folder or s3://bucket/prefix: the only line to change.
SET VARIABLE bucket = 'data';
SET TimeZone = 'UTC';

CREATE OR REPLACE TEMP TABLE object AS
SELECT exchange, symbol, run, "window", unnest(objects, max_depth := 2)
FROM read_json(getvariable('bucket') || '/manifest/**/*[0-9].json', hive_partitioning = false);

-- Files that no manifest names: on their way, or their process never came back. Nothing vouches for them.
SELECT file AS uncommitted FROM glob(getvariable('bucket') || '/parquet/**/*.parquet')
ANTI JOIN object ON ends_with(file, '/' || key) ORDER BY file;

SET VARIABLE coverage = (
  SELECT list(getvariable('bucket') || '/' || key) FROM object WHERE stream = 'coverage');
CREATE OR REPLACE TEMP TABLE coverage AS
SELECT * FROM read_parquet(getvariable('coverage'), hive_types = {'symbol': VARCHAR, 'date': DATE});

-- Of a stream with a chain, what is left of each interval, joined to stretches by id.
CREATE OR REPLACE TEMP TABLE stretch AS
WITH suspect AS (SELECT * FROM coverage WHERE state = 'suspect'),
kept AS (  -- what is left of each interval
  SELECT c.exchange, c.symbol, c.of_stream, c.from_time, c.prev_id,
         least(c.to_time, min(s.from_time)) AS to_time, least(c.last_id, min(s.prev_id)) AS last_id
  FROM coverage c LEFT JOIN suspect s
    ON s.exchange = c.exchange AND s.symbol = c.symbol AND s.run = c.run AND s.of_stream = c.of_stream
   AND c.prev_id < s.last_id AND c.last_id > s.prev_id
  WHERE c.state = 'proven'
  GROUP BY c.exchange, c.symbol, c.of_stream, c.run, c.seq, c.from_time, c.to_time, c.prev_id, c.last_id
  HAVING least(c.last_id, min(s.prev_id)) >= c.prev_id
),
marked AS (  -- does it begin a new stretch?
  SELECT *, coalesce(prev_id > max(last_id) OVER earlier, true) AS begins FROM kept
  WINDOW earlier AS (PARTITION BY exchange, symbol, of_stream ORDER BY prev_id, last_id
                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
),
numbered AS (
  SELECT *, sum(begins::INT) OVER (PARTITION BY exchange, symbol, of_stream ORDER BY prev_id, last_id
                                   ROWS UNBOUNDED PRECEDING) AS stretch
  FROM marked
)
SELECT exchange, symbol, of_stream, stretch, min(from_time) AS from_time, max(to_time) AS to_time,
       min(prev_id) AS prev_id, max(last_id) AS last_id
FROM numbered GROUP BY exchange, symbol, of_stream, stretch;

FROM stretch ORDER BY symbol, of_stream, stretch;

-- What was withdrawn, and why.
SELECT symbol, of_stream, from_time AS suspect_from, to_time AS suspect_to,
       prev_id AS after_id, last_id AS up_to_id, ended_by, detail
FROM coverage WHERE state = 'suspect' ORDER BY symbol, of_stream, suspect_from;

-- Seconds by stream. mark_price has no chain: it is observed, not proven.
WITH evidence AS (
  SELECT symbol, of_stream, min(from_time) AS first_evidence, max(to_time) AS last_evidence
  FROM coverage GROUP BY ALL
),
counted AS (
  SELECT symbol, of_stream, sum(epoch_us(to_time) - epoch_us(from_time)) / 1e6 AS seconds
  FROM stretch GROUP BY ALL
  UNION ALL
  SELECT symbol, of_stream, sum(epoch_us(to_time) - epoch_us(from_time)) / 1e6
  FROM coverage WHERE state = 'observed' GROUP BY ALL
)
SELECT symbol, of_stream, first_evidence, last_evidence, seconds,
       (epoch_us(last_evidence) - epoch_us(first_evidence)) / 1e6 - seconds AS missing_seconds
FROM evidence JOIN counted USING (symbol, of_stream) ORDER BY symbol, of_stream;
