"""No silent loss, no duplicate, no wrong row: what the buckets hold against what the exchange emitted.

It knows a bucket, and a JSON file of what the simulated exchange emitted; nothing of the product's code.
- Every published id was emitted, with the same chain; none is there twice; by a plain glob as through manifests.
- Coverage of a chained stream is honest: all that its connection emitted inside (prev_id, last_id] is published.
  Another connection may take over with the event that meets the last id; a book may stand at its snapshot before it
  has an event. What a suspect row withdraws is no claim any more.
- Sampled rows of books<N> are the true book at their id, wherever they are proven and not withdrawn.
- Every audit can be done again: a book row is what the changes before it give, inside both reaches.
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
from datetime import datetime

import duckdb

CHAINED = {"depth": "update_id", "books": "update_id", "trades": "trade_id"}


class Bucket:
    """The two ways to find the files of one bucket; its rows, once they are read."""

    def __init__(self, path, levels):
        self.path = path
        self.files = sorted(glob.glob(f"{path}/parquet/**/*.parquet", recursive=True))
        self.manifests = [read_manifest(name) for name in sorted(glob.glob(f"{path}/manifest/**/*.json", recursive=True))]
        self.listed = sorted(f"{path}/{entry['key']}" for one in self.manifests for entry in one["objects"])
        self.closed = {(one["run"], one["window"]): datetime.fromisoformat(one["closed"]) for one in self.manifests}
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


def leads_on(row, at):
    """Quantities are absolute: an event that begins at or before an id brings a book at that id exactly to its own.
    One that ends there says nothing new; where rows go on after an id it is none."""
    return row["prev_update_id"] <= at < row["update_id"]


def check_ids(rows, stream, emitted, chains, overlapping):
    """Every id was emitted, none is there twice. Runs follow each other, so ids are unique over all of them."""
    key, seen, twice = CHAINED[stream], set(), []
    for row in events_of(stream, rows):
        if (row["run"], row["window"]) in overlapping:
            continue
        if row[key] in seen:
            twice.append(row[key])
        seen.add(row[key])
    assert not twice, f"{stream}: published twice: {twice[:5]}"
    if stream == "trades":
        never = {row["trade_id"] for row in rows} - emitted
    else:
        never = [
            row["update_id"]
            for row in events_of(stream, rows)
            if (row["prev_update_id"], row["first_update_id"], row["update_id"]) not in chains
        ]
    assert not never, f"{stream}: never emitted: {list(never)[:5]}"
    return {row[key] for row in events_of(stream, rows)}


class Coverage:
    """Intervals of one stream with their rows, and what suspects withdraw."""

    def __init__(self, bucket, stream, name):
        self.name = name
        self.intervals, self.rows, self.suspects = [], {}, collections.defaultdict(list)
        windows = collections.defaultdict(list)
        for row in bucket.rows["coverage"]:
            if row["of_stream"] != name:
                continue
            if row["state"] == "suspect":
                self.suspects[row["run"]].append(row)
            else:
                self.intervals.append(row)
                windows[(row["run"], row["window"])].append(row)
                self.rows[(row["run"], row["seq"])] = []
        for row in events_of(stream, bucket.rows[stream]):
            # a row lies in the first interval that was written after it
            home = next((one for one in windows[(row["run"], row["window"])] if one["seq"] > row["seq"]), None)
            assert home is not None, f"{name} {row['run']} window {row['window']}: row {row['seq']} lies outside coverage"
            self.rows[(row["run"], home["seq"])].append(row)

    def rows_of(self, interval):
        return self.rows[(interval["run"], interval["seq"])]

    def withdrawn(self, run, at):
        return any(one["prev_id"] < at <= one["last_id"] for one in self.suspects[run])

    def check_suspects(self):
        """They count no rows, and reach up to the end of an interval that ended with them."""
        for run, suspects in self.suspects.items():
            for one in suspects:
                label = f"{self.name} {run} suspect ({one['prev_id']}, {one['last_id']}]"
                assert one["rows"] == 0 and one["first_id"] == 0 and one["prev_id"] <= one["last_id"], f"{label}: malformed"
                ends = [
                    other["last_id"]
                    for other in self.intervals
                    if other["run"] == run and other["window"] == one["window"] and other["ended_by"] is not None
                ]
                assert one["last_id"] in ends, f"{label}: does not end where an interval ends"


def segments(rows):
    """Rows by connection, in order: another one may take over, none comes back."""
    parts = []
    for row in rows:
        if not parts or row["connection"] != parts[-1][-1]["connection"]:
            assert not parts or row["connection"] > parts[-1][-1]["connection"], f"row {row['update_id']}: connection {row['connection']} came back"
            parts.append([])
        parts[-1].append(row)
    return parts


def check_segment(label, rows, low, exact, coverage, chains, by_connection):
    """All that one connection of the exchange emitted from its first published event on is published."""
    first, last = rows[0], rows[-1]
    if exact:
        assert first["prev_update_id"] == low, f"{label}: begins after {first['prev_update_id']}"
    assert leads_on(first, low), f"{label}: {first['update_id']} takes over after {first['prev_update_id']}, which does not meet {low}"
    # events that two connections cut alike are the same: any connection that emitted them all will do
    candidates = set.intersection(*(set(chains[(row["prev_update_id"], row["first_update_id"], row["update_id"])]) for row in rows))
    got = [row["update_id"] for row in rows if not coverage.withdrawn(row["run"], row["update_id"])]
    wanted = [
        [
            at
            for at in by_connection[one]
            if first["update_id"] <= at <= last["update_id"] and not coverage.withdrawn(first["run"], at)
        ]
        for one in candidates
    ]
    assert got in wanted, f"{label}: {len(wanted[0]) if wanted else 0} were emitted, {len(got)} published"


def check_coverage(bucket, stream, levels, chains, by_connection):
    """Inside each interval all that was emitted is published; rows outside of intervals do not exist."""
    name = f"books{levels}" if stream == "books" else stream
    key = CHAINED[stream]
    coverage = Coverage(bucket, stream, name)
    coverage.check_suspects()
    assert stream != "trades" or not any(coverage.suspects.values()), "trades: nothing can doubt them"
    snapshots = {(row["run"], row["update_id"]) for row in bucket.rows["depth"] if row["kind"] == "snapshot"}
    followed = {}
    for interval in coverage.intervals:
        run, window, low, high = (interval[column] for column in ("run", "window", "prev_id", "last_id"))
        label = f"{name} {run} window {window} ({low}, {high}]"
        got = coverage.rows_of(interval)
        assert interval["state"] == "proven", f"{label}: coverage that is not proven"
        assert len(got) == interval["rows"], f"{label}: {len(got)} rows, coverage says {interval['rows']}"
        assert interval["from_time"] <= interval["to_time"] <= bucket.closed[(run, window)], f"{label}: more time than there was"
        if not got:
            assert low == high and interval["first_id"] == 0, f"{label}: no rows but ids"
            continue
        assert (got[0][key], got[-1][key]) == (interval["first_id"], high), f"{label}: other bounds"
        assert max(row["received_time"] for row in got) <= interval["to_time"], f"{label}: ends before its rows"
        if stream == "trades":
            assert [row[key] for row in got] == list(range(low + 1, high + 1)), f"{label}: {high - low} were emitted, {len(got)} published"
            continue
        at = low
        for part in segments(got):
            # the first event of a snapshot, and of a connection that takes over, meets; all others chain
            new = followed.get(run, 0) not in (0, part[0]["connection"]) or (run, at) in snapshots
            check_segment(label, part, at, not new, coverage, chains, by_connection)
            at, followed[run] = part[-1][key], part[-1]["connection"]
    check_continuation(name, coverage.intervals)
    return coverage, collections.Counter(interval["ended_by"] or "open" for interval in coverage.intervals)


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
                goes_on = (after["prev_id"], after["from_time"]) == (interval["last_id"], interval["to_time"])
                assert goes_on, f"{name} {run}: {window + 1} does not continue {window}"


def knows(reach, side, price):
    return price >= reach["bid"] if side == "bid" else price <= reach["ask"]


def check_audits(rows):
    """A book row is what the changes before it give, inside both reaches. Returns how many were compared."""
    run, at, old, book, compared = None, None, {}, {}, 0
    for row in rows:
        reach = {"bid": row["bid_reach"], "ask": row["ask_reach"]}
        sent = {side: dict(zip(row[f"{side}_prices"], row[f"{side}_qtys"])) for side in ("bid", "ask")}
        if row["kind"] == "book" and (run, at) == (row["run"], row["update_id"]):
            for side, levels in book.items():
                known = {price: qty for price, qty in levels.items() if knows(reach, side, price)}
                audited = {price: qty for price, qty in sent[side].items() if knows(old, side, price)}
                differ = sorted(price for price in known | audited if known.get(price) != audited.get(price))
                assert not differ, f"{side}s of the book row at {at} are not what the changes give, at {differ[:3]}"
            compared += 1
        if row["kind"] != "delta":
            book = {"bid": {}, "ask": {}}
        for side, levels in book.items():
            levels.update(sent[side])
            gone = [price for price in (sent[side] if reach == old else levels) if levels[price] == 0 or not knows(reach, side, price)]
            for price in gone:
                del levels[price]
        run, at, old = row["run"], row["update_id"], reach
    return compared


def check_books(rows, levels, truth, coverage):
    """The true book, at the sampled ids, as far down as the row says that it is proven."""
    books = {row["update_id"]: row for row in rows if not coverage.withdrawn(row["run"], row["update_id"])}
    compared = 0
    for at, bids, asks in truth["books"]:
        row = books.get(at)
        if row is None:
            continue
        for side, true in (("bid", bids), ("ask", asks)):
            proven = row[f"{side}_levels_proven"]
            got = [(row[f"{side}_price_{i}"], row[f"{side}_qty_{i}"]) for i in range(levels)]
            want = [(float(price), float(qty)) for price, qty in true[:proven]]
            # that there is no level is proven too, where the reach is unlimited
            want += [(None, None)] * (proven - len(want))
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
    overlapping = {(one["run"], one["window"]) for one in bucket.manifests if one["overlaps"]}
    published, listed, ended, coverage = {}, {}, collections.Counter(), {}
    for stream in CHAINED:
        published[stream] = check_ids(bucket.rows[stream], stream, emitted, chains, overlapping)
        listed[stream] = check_ids(bucket.through_manifests(bucket.rows[stream]), stream, emitted, chains, overlapping)
        assert published[stream] == listed[stream], f"{stream}: glob and manifests give other ids"
        name = f"books{levels}" if stream == "books" else stream
        assert counted[name] == len(bucket.rows[stream]), f"{stream}: manifests count {counted[name]} rows"
        coverage[stream], reasons = check_coverage(bucket, stream, levels, chains, by_connection)
        ended += reasons
    assert published["books"] == published["depth"], "books and depth hold other events"
    times = [row["event_time"] for row in bucket.rows["mark_price"] if (row["run"], row["window"]) not in overlapping]
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
        "compared": check_books(bucket.rows["books"], levels, truth, coverage["books"]),
        "audits": check_audits(bucket.rows["depth"]),
        "suspects": sum(len(found) for found in coverage["depth"].suspects.values()),
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
