"""No silent loss, no duplicate, no wrong row: what the buckets hold against what the exchange emitted.

It knows a bucket, and a JSON file of what the simulated exchange emitted; nothing of the product's code.
- Every published id was emitted, with the same chain; none is there twice; by a plain glob as through manifests.
- Coverage of a chained stream is honest: all that its connection emitted inside (prev_id, last_id] is published.
- Sampled rows of books<N> are the true book at their id, wherever they are proven.
- `seq` grows; windows of a run are contiguous; every hash in a manifest is right; every file reads alone.
- What was on disk at a kill (`journalled`) is published.

usage: oracle.py TRUTH.json BUCKET…      prints a JSON list, one summary a bucket
TRUTH: {levels, batches: [[connection, prev, first, last]…], trades: [id…],
        books: [[id, [[price, qty]…], [[price, qty]…]]…], journalled: [{depth: [id…], trades: [id…]}…], one a bucket,
        holes: whether windows may be missing (a segment of which nothing could be read)}
"""

import collections
import glob
import hashlib
import json
import sys

import duckdb

CHAINED = {"depth": "update_id", "books": "update_id", "trades": "trade_id"}


class Bucket:
    """The two ways to find the files of one bucket; its rows, once they are read."""

    def __init__(self, path, levels):
        self.path = path
        self.files = sorted(glob.glob(f"{path}/parquet/**/*.parquet", recursive=True))
        self.manifests = [read_manifest(name) for name in sorted(glob.glob(f"{path}/manifest/**/*.json", recursive=True))]
        self.listed = sorted(f"{path}/{entry['key']}" for one in self.manifests for entry in one["objects"])
        self.levels = levels

    def read_rows(self):
        levels = self.levels
        names = {"depth": "depth", "books": f"books{levels}", "trades": "trades", "mark_price": "mark_price", "coverage": "coverage"}
        self.rows = {short: self.read(name) for short, name in names.items()}

    def read(self, stream):
        files = [name for name in self.files if f"/stream={stream}/" in name]
        if not files:
            return []
        found = duckdb.sql(
            f"SELECT *, file_row_number AS place FROM read_parquet({files!r}, filename=true, file_row_number=true, hive_partitioning=false)"
        )
        rows = [dict(zip(found.columns, row)) for row in found.fetchall()]
        for row in rows:
            row["window"] = row.get("window", int(row["filename"].removesuffix(".parquet").rsplit("-", 1)[1]))
        return sorted(rows, key=lambda row: (row["run"], row["window"], row["place"]))

    def through_manifests(self, rows):
        listed = set(self.listed)
        return [row for row in rows if row["filename"] in listed]


def read_manifest(name):
    """A manifest, once its hash over all its other bytes is proven."""
    text = open(name, "rb").read()
    manifest = json.loads(text)
    tail = f',"sha256":"{manifest["sha256"]}"}}'.encode()
    assert text.endswith(tail), f"{name}: its hash is not its last field"
    found = hashlib.sha256(text[: -len(tail)] + b"}").hexdigest()
    assert found == manifest["sha256"], f"{name}: altered, hashes to {found}"
    return manifest


def check_files(bucket, truth):
    """Objects are what manifests say; no object is unlisted; windows of a run are contiguous."""
    assert bucket.files == bucket.listed, f"glob and manifests differ: {set(bucket.files) ^ set(bucket.listed)}"
    windows = collections.defaultdict(list)
    for manifest in bucket.manifests:
        windows[manifest["run"]].append(manifest["window"])
        for entry in manifest["objects"]:
            data = open(f"{bucket.path}/{entry['key']}", "rb").read()
            assert len(data) == entry["bytes"], f"{entry['key']}: {len(data)} bytes"
            assert hashlib.sha256(data).hexdigest() == entry["sha256"], f"{entry['key']}: another hash"
    for run, numbers in windows.items():
        assert len(set(numbers)) == len(numbers), f"{run}: a window twice: {sorted(numbers)}"
        assert truth["holes"] or sorted(numbers) == list(range(len(numbers))), f"{run}: windows {sorted(numbers)}"
    counted = collections.Counter()
    for manifest in bucket.manifests:
        for entry in manifest["objects"]:
            counted[entry["stream"]] += entry["rows"]
    return windows, counted


def check_order(bucket):
    """`seq` is one counter a run: unique over all streams, growing within each."""
    seen = collections.defaultdict(set)
    for stream, rows in bucket.rows.items():
        last = {}
        for row in rows:
            run, seq = row["run"], row["seq"]
            assert seq > last.get(run, 0), f"{stream} of {run}: seq {seq} after {last[run]}"
            last[run] = seq
            assert seq not in seen[run], f"{stream} of {run}: seq {seq} stands in two streams"
            seen[run].add(seq)


def events_of(stream, rows):
    return [row for row in rows if stream != "depth" or row["kind"] == "delta"]


def check_ids(rows, stream, emitted, chains):
    """Every id was emitted, none is there twice. Runs follow each other, so ids are unique over all of them."""
    ids = [row[CHAINED[stream]] for row in events_of(stream, rows)]
    twice = [one for one, count in collections.Counter(ids).items() if count > 1]
    assert not twice, f"{stream}: published twice: {twice[:5]}"
    if stream == "trades":
        never = set(ids) - emitted
    else:
        never = [
            row["update_id"]
            for row in events_of(stream, rows)
            if (row["prev_update_id"], row["first_update_id"], row["update_id"]) not in chains
        ]
    assert not never, f"{stream}: never emitted: {list(never)[:5]}"
    return set(ids)


def connection_of(row, chains):
    """The exchange's number of the connection that a published event came by."""
    found = chains[(row["prev_update_id"], row["first_update_id"], row["update_id"])]
    assert len(found) == 1, f"event {row['update_id']} was cut alike for connections {found}: choose another seed"
    return found[0]


def check_coverage(bucket, stream, levels, truth, chains, by_connection):
    """Inside each interval all that was emitted is published; rows outside of intervals do not exist."""
    name = f"books{levels}" if stream == "books" else stream
    key = CHAINED[stream]
    rows = collections.defaultdict(list)
    for row in events_of(stream, bucket.rows[stream]):
        rows[(row["run"], row["window"])].append(row)
    intervals = [row for row in bucket.rows["coverage"] if row["of_stream"] == name]
    assert all(row["state"] == "proven" for row in intervals), f"{name}: coverage that is not proven"
    covered = 0
    for interval in intervals:
        run, window, low, high = (interval[column] for column in ("run", "window", "prev_id", "last_id"))
        label = f"{name} {run} window {window} ({low}, {high}]"
        got = [row for row in rows[(run, window)] if low < row[key] <= high]
        assert len(got) == interval["rows"], f"{label}: {len(got)} rows, coverage says {interval['rows']}"
        if not got:
            assert low == high and interval["first_id"] == 0, f"{label}: no rows but ids"
            continue
        assert (got[0][key], got[-1][key]) == (interval["first_id"], high), f"{label}: other bounds"
        if stream == "trades":
            expected = list(range(low + 1, high + 1))
        else:
            assert got[0]["prev_update_id"] == low, f"{label}: begins after {got[0]['prev_update_id']}"
            expected = [last for last in by_connection[connection_of(got[0], chains)] if low < last <= high]
        assert [row[key] for row in got] == expected, f"{label}: {len(expected)} were emitted, {len(got)} published"
        covered += len(got)
    total = sum(len(part) for part in rows.values())
    assert covered == total, f"{name}: {total} rows, {covered} inside coverage"
    check_continuation(name, intervals)
    return collections.Counter(interval["ended_by"] or "open" for interval in intervals)


def check_continuation(name, intervals):
    """An interval that no reason ended goes on in the next window of its run, if there is one."""
    by_window = collections.defaultdict(list)
    for interval in intervals:
        by_window[(interval["run"], interval["window"])].append(interval)
    windows = collections.defaultdict(set)
    for run, window in by_window:
        windows[run].add(window)
    for (run, window), group in by_window.items():
        for interval in group:
            if interval["ended_by"] is None and window + 1 in windows[run]:
                after = by_window[(run, window + 1)][0]
                assert after["prev_id"] == interval["last_id"], f"{name} {run}: {window + 1} does not continue {window}"


def check_books(rows, levels, truth):
    """The true book, at the sampled ids, as far down as the row says that it is proven."""
    books = {row["update_id"]: row for row in rows}
    compared = 0
    for at, bids, asks in truth["books"]:
        row = books.get(at)
        if row is None:
            continue
        for side, true in (("bid", bids), ("ask", asks)):
            proven = row[f"{side}_levels_proven"]
            got = [(row[f"{side}_price_{i}"], row[f"{side}_qty_{i}"]) for i in range(levels)]
            want = [(float(price), float(qty)) for price, qty in true[:proven]]
            assert got[:proven] == want, f"{side}s at {at}: {got[:3]} is not {want[:3]}"
            assert proven > 0 and all(level == (None, None) for level in got[proven:]), f"{side}s at {at}: {proven} proven"
        compared += 1
    return compared


def check_depth_files(rows):
    """Every depth file reads alone: a whole book stands before its first change."""
    first = {}
    for row in rows:
        first.setdefault(row["filename"], row["kind"])
    for name, kind in first.items():
        assert kind != "delta", f"{name} begins with a change"


def check_bucket(path, journalled, truth, chains, by_connection):
    levels = truth["levels"]
    bucket = Bucket(path, levels)
    windows, counted = check_files(bucket, truth)
    bucket.read_rows()
    check_order(bucket)
    check_depth_files(bucket.rows["depth"])
    emitted = set(truth["trades"])
    published, listed, ended = {}, {}, collections.Counter()
    for stream in CHAINED:
        published[stream] = check_ids(bucket.rows[stream], stream, emitted, chains)
        listed[stream] = check_ids(bucket.through_manifests(bucket.rows[stream]), stream, emitted, chains)
        assert published[stream] == listed[stream], f"{stream}: glob and manifests give other ids"
        name = f"books{levels}" if stream == "books" else stream
        assert counted[name] == len(bucket.rows[stream]), f"{stream}: manifests count {counted[name]} rows"
        ended += check_coverage(bucket, stream, levels, truth, chains, by_connection)
    assert published["books"] == published["depth"], "books and depth hold other events"
    times = [row["event_time"] for row in bucket.rows["mark_price"]]
    assert len(set(times)) == len(times), "a mark price twice"
    for stream, ids in journalled.items():
        lost = sorted(set(ids) - published[stream])
        assert not lost, f"{stream}: {len(lost)} of {len(ids)} ids that were on disk are not published: {lost[:5]}"
    return {
        "runs": len(windows),
        "windows": len(bucket.manifests),
        "published": {stream: len(ids) for stream, ids in published.items()},
        "listed": {stream: len(ids) for stream, ids in listed.items()},
        "journalled": {stream: len(ids) for stream, ids in journalled.items()},
        "emitted": {"depth": len(truth["batches"]), "trades": len(truth["trades"])},
        "compared": check_books(bucket.rows["books"], levels, truth),
        "ended": ended,
        "witness": collections.Counter(manifest["witness"] for manifest in bucket.manifests),
    }


def main():
    truth = json.load(open(sys.argv[1]))
    chains = collections.defaultdict(list)
    by_connection = collections.defaultdict(list)
    for connection, previous, first, last in truth["batches"]:
        chains[(previous, first, last)].append(connection)
        by_connection[connection].append(last)
    summaries = []
    for path, journalled in zip(sys.argv[2:], truth["journalled"], strict=True):
        try:
            summaries.append(check_bucket(path, journalled, truth, chains, by_connection))
        except AssertionError as error:
            sys.exit(f"{path}: {error}")
    print(json.dumps(summaries))


main()
