-- What is missing between the first and the last evidence of each stream.

-- The address of the bucket, a folder or s3://bucket/prefix: the only line to change.
SET VARIABLE bucket = 'data';
SET TimeZone = 'UTC';

SET VARIABLE coverage = (
  SELECT list(getvariable('bucket') || '/' || o.key)
  FROM (SELECT unnest(objects) AS o
        FROM read_json(getvariable('bucket') || '/manifest/**/*[0-9].json', hive_partitioning = false))
  WHERE o.stream = 'coverage');
CREATE OR REPLACE TEMP TABLE coverage AS
SELECT * FROM read_parquet(getvariable('coverage'), hive_types = {'symbol': VARCHAR, 'date': DATE});

-- Streams with a chain: by id. missing_to may lie before missing_from, where the clocks of two runs differ.
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
),
stretches AS (
  SELECT exchange, symbol, of_stream, stretch, min(from_time) AS from_time, max(to_time) AS to_time,
         min(prev_id) AS prev_id, max(last_id) AS last_id
  FROM numbered GROUP BY exchange, symbol, of_stream, stretch
)
SELECT exchange, symbol, of_stream, to_time AS missing_from, lead(from_time) OVER later AS missing_to,
       last_id AS after_id, lead(prev_id) OVER later AS before_id
FROM stretches
WINDOW later AS (PARTITION BY exchange, symbol, of_stream ORDER BY stretch)
QUALIFY before_id IS NOT NULL
ORDER BY symbol, of_stream, after_id;

-- mark_price has no ids: by time.
WITH marked AS (
  SELECT *, coalesce(from_time > max(to_time) OVER earlier, true) AS begins,
         max(to_time) OVER earlier AS missing_from
  FROM coverage WHERE state = 'observed'
  WINDOW earlier AS (PARTITION BY exchange, symbol, of_stream ORDER BY from_time, to_time
                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
SELECT exchange, symbol, of_stream, missing_from, from_time AS missing_to
FROM marked WHERE begins AND missing_from IS NOT NULL ORDER BY symbol, missing_from;
