"""Compares buckets that hold the same run, cut into windows at different places.

Rows of every stream, concatenated over the windows, must be the same in every column; the `book` rows that open a
window are left out. Coverage, joined over the windows, must be the same intervals; each `book` row must be the book
that the rows before it give.

usage: rotation_check.py BUCKET BUCKET…
"""

import glob
import json
import re
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

buckets = sys.argv[1:]
WINDOW = re.compile(r"-(\d{6})\.parquet$")


def read(bucket, stream):
    files = glob.glob(f"{bucket}/parquet/exchange=*/symbol=*/stream={stream}/date=*/*.parquet")
    files.sort(key=lambda path: int(WINDOW.search(path).group(1)))
    assert files, f"no files of {stream} in {bucket}"
    return pa.concat_tables([pq.read_table(path, partitioning=None) for path in files]), len(files)


def intervals(table):
    """Intervals joined over the windows that cut them."""
    going, ended = {}, []
    for row in table.to_pylist():
        stream = row["of_stream"]
        one = going.pop(stream, None)
        if one is None:
            one = {key: row[key] for key in ("of_stream", "from_time", "prev_id", "first_id", "connection", "state")} | {"rows": 0}
        else:
            assert (row["from_time"], row["prev_id"]) == (one["to_time"], one["last_id"]), f"{stream}: a window does not join the one before: {row}"
            one["first_id"] = one["first_id"] or row["first_id"]
        one |= {key: row[key] for key in ("to_time", "last_id", "ended_by", "detail")}
        one["rows"] += row["rows"]
        if row["ended_by"] is None:
            going[stream] = one
        else:
            ended.append((row["seq"], one))
    assert not going, f"intervals without an end: {list(going)}"
    return ended


def check_books(bucket, table):
    """Replays `depth` through, cut at the reach of each row, and holds each `book` row against what it replaces."""
    sides, compared = [{}, {}], 0
    columns = [table[name].to_pylist() for name in ("kind", "bid_prices", "bid_qtys", "bid_reach", "ask_prices", "ask_qtys", "ask_reach", "seq")]
    for kind, bids, bid_qtys, bid_reach, asks, ask_qtys, ask_reach, seq in zip(*columns):
        whole = [dict(zip(bids, bid_qtys)), dict(zip(asks, ask_qtys))]
        if kind == "book":
            assert whole == sides, f"{bucket}: the book at seq {seq} is not what the rows before it give"
            assert bids == sorted(bids, reverse=True) and asks == sorted(asks), f"{bucket}: the book at seq {seq} is not sorted"
            compared += 1
            continue
        if kind == "snapshot":
            sides = [{}, {}]
        for side, levels, reach, sign in ((sides[0], whole[0], bid_reach, 1), (sides[1], whole[1], ask_reach, -1)):
            for price, qty in levels.items():
                if qty == 0:
                    side.pop(price, None)
                elif (price - reach) * sign >= 0:
                    side[price] = qty
            # the best 1000 a side are kept: where a side grows beyond them its reach comes nearer
            for price in [price for price in side if (price - reach) * sign < 0]:
                del side[price]
    return compared


rows, windows, books = {}, [], 0
for stream in ("books20", "depth", "trades", "mark_price"):
    first = None
    for bucket in buckets:
        table, files = read(bucket, stream)
        if stream == "depth":
            windows.append(files)
            books += check_books(bucket, table)
            table = table.filter(pc.not_equal(table["kind"], "book"))
        table = table.combine_chunks()
        if first is None:
            first = table
            rows[stream] = table.num_rows
        elif not table.equals(first):
            for name in first.column_names:
                if not table[name].equals(first[name]):
                    sys.exit(f"{stream}: column {name} of {bucket} ({table.num_rows} rows) differs from {buckets[0]} ({first.num_rows} rows)")
            sys.exit(f"{stream}: {bucket} has other columns than {buckets[0]}")

wanted = intervals(read(buckets[0], "coverage")[0])
for bucket in buckets[1:]:
    found = intervals(read(bucket, "coverage")[0])
    for a, b in zip(wanted, found):
        if a != b:
            sys.exit(f"coverage of {bucket}: {b}, in {buckets[0]}: {a}")
    assert len(found) == len(wanted), f"coverage of {bucket}: {len(found)} intervals, {len(wanted)} in {buckets[0]}"
print(json.dumps({"rows": rows, "windows": windows, "books": books, "intervals": len(wanted)}))
