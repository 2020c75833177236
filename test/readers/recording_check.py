"""Compares a captured symbol with the recording that it was captured from, knowing only the bucket and the recording.

The book is rebuilt here from the recorded frames with exact decimals, never pruned, whatever was lost on the way. Then
- every row of books<N> must be the rebuilt top N at the row's id, inside the reach that `depth` states at that id;
- every whole book in `depth` (snapshots, audited books, books that open a file) must be the rebuilt one inside its
  reach; every delta must be the recorded event, as it was sent;
- a reach may move inwards on a delta, to the 1000th level, and outwards with a whole book alone;
- each depth file, alone, must replay to the rebuilt book inside its reach: every 50th row, and the last of each file;
- the best five at the golden checkpoints, and the exchange's own bookTicker at equal ids, must be the rows';
- every depth event inside coverage must be there, once, and none outside of it; a gap must have the cause that it names.

usage: recording_check.py BUCKET SYMBOL RECORDING.frames.gz GOLDEN.json LEVELS LOST
LOST: ids of events that were never sent, with commas between them; may be empty
"""

import bisect
import collections
import glob
import gzip
import json
import sys
from decimal import Decimal

import duckdb

bucket, symbol, recording, golden_path, levels, lost_ids = sys.argv[1:7]
LEVELS = int(levels)
LOST = {int(text) for text in lost_ids.split(",") if text}
SIDES = ("bid", "ask")
SENT = {"bid": "b", "ask": "a"}
KEPT_MAX = 1000  # levels a side: the exchange does not report all changes beyond its best ones
WHOLE_EVERY = 50


def recorded():
    """The recording's depth events of the symbol, from the first that meets the snapshot, the snapshot, and tickers."""
    events, tickers, snapshot = [], {}, None
    wanted = f'"s":"{symbol}"'
    with gzip.open(recording, "rt") as lines:
        for line in lines:
            _, via, payload = line.rstrip("\n").split("\t", 2)
            if via == "ws" and wanted in payload and "depthUpdate" in payload:
                events.append(json.loads(payload)["data"])
            elif via == "ws" and wanted in payload and "bookTicker" in payload:
                ticker = json.loads(payload)["data"]
                tickers[ticker["u"]] = ticker
            elif via.startswith("http /fapi/v1/depth") and f"symbol={symbol}&" in via and snapshot is None:
                snapshot = json.loads(payload)
    last = snapshot["lastUpdateId"]
    return [event for event in events if event["u"] >= last], snapshot, tickers


class Rebuilt:
    """Both sides by price, and each side's prices in order, worst first."""

    def __init__(self, snapshot, events):
        self.id, self.events, self.next = snapshot["lastUpdateId"], events, 0
        self.qtys = {"bid": {}, "ask": {}}
        self.order = {"bid": [], "ask": []}
        self.change("bid", snapshot["bids"])
        self.change("ask", snapshot["asks"])

    def change(self, side, sent):
        qtys, order = self.qtys[side], self.order[side]
        for text, qty in sent:
            price, qty = float(text), Decimal(qty)
            key = price if side == "bid" else -price
            if qty and price not in qtys:
                bisect.insort(order, key)
            if qty:
                qtys[price] = qty
            elif qtys.pop(price, None) is not None:
                order.pop(bisect.bisect_left(order, key))

    def step(self):
        event = self.events[self.next]
        self.next += 1
        self.id = event["u"]
        for side in SIDES:
            self.change(side, event[SENT[side]])
        return event

    def advance(self, to):
        while self.next < len(self.events) and self.events[self.next]["u"] <= to:
            self.step()
        assert self.id == to, f"a row at {to}: the recording has {self.id}, and then {self.events[self.next : self.next + 1]}"

    def inside(self, side, reach, count=None):
        """Levels inside the reach, best first, at most `count`."""
        order = self.order[side]
        start = bisect.bisect_left(order, reach if side == "bid" else -reach)
        if count is not None:
            start = max(start, len(order) - count)
        prices = [key if side == "bid" else -key for key in reversed(order[start:])]
        return [(price, float(self.qtys[side][price])) for price in prices]


def read(stream):
    files = sorted(glob.glob(f"{bucket}/parquet/exchange=BinanceUsdm/symbol={symbol}/stream={stream}/date=*/*.parquet"))
    assert files, f"no files of {stream}"
    frame = duckdb.sql(f"SELECT * FROM read_parquet({files!r}, filename=true, hive_partitioning=false) ORDER BY run, seq")
    names = frame.columns
    return [dict(zip(names, row)) for row in frame.fetchall()]


def is_limited(reach):
    return reach != 0 and reach != float("inf")


def knows(side, reach, price):
    return price >= reach if side == "bid" else price <= reach


def sent_by(row, side):
    return list(zip(row[f"{side}_prices"], row[f"{side}_qtys"]))


def sent_in(event, side):
    return [(float(price), float(qty)) for price, qty in event[SENT[side]]]


def same_time(stamp, millis):
    return abs(stamp.timestamp() - millis / 1000) < 1e-6


class Replay:
    """One depth file, alone."""

    def __init__(self):
        self.book, self.reach = None, {}

    def apply(self, row):
        label = f"{row['kind']} at {row['update_id']}"
        assert row["kind"] != "delta" or self.book is not None, f"{row['filename']} begins with a delta"
        if row["kind"] != "delta":
            self.book = {side: {} for side in SIDES}
        for side in SIDES:
            book, reach = self.book[side], row[f"{side}_reach"]
            for price, qty in sent_by(row, side):
                if not qty:
                    book.pop(price, None)
                elif knows(side, reach, price):
                    book[price] = qty
            if row["kind"] == "delta" and reach != self.reach[side]:
                assert knows(side, self.reach[side], reach), f"{label}: the {side} reach moved outwards, from {self.reach[side]} to {reach}"
                for price in [price for price in book if not knows(side, reach, price)]:
                    del book[price]
                assert len(book) == KEPT_MAX and reach in book, f"{label}: the {side} reach moved to {reach}, with {len(book)} levels"
            assert len(book) <= KEPT_MAX, f"{label}: {len(book)} {side}s are said to be known"
            self.reach[side] = reach


def check_whole(row, rebuilt):
    """A whole book is the exchange's, as far as it says that it reaches; unlimited, it has all there is."""
    for side in SIDES:
        reach, got = row[f"{side}_reach"], sent_by(row, side)
        label = f"{row['kind']} at {row['update_id']}, {side}s to {reach}"
        assert got == rebuilt.inside(side, reach), f"{label}: {got[:3]}… ({len(got)}) is not the rebuilt book"
        # a book that opens a file may have lost the level at its reach
        assert not (row["kind"] == "snapshot" and is_limited(reach)) or got[-1][0] == reach, f"{label}: its last price is {got[-1]}"


def check_delta(row, event):
    label = f"delta at {row['update_id']}"
    assert (row["prev_update_id"], row["first_update_id"]) == (event["pu"], event["U"]), f"{label}: other ids"
    assert same_time(row["event_time"], event["E"]) and same_time(row["transaction_time"], event["T"]), f"{label}: other times"
    for side in SIDES:
        assert sent_by(row, side) == sent_in(event, side), f"{label}: {side}s are not as they were sent"


def check_books(row, event, at, rebuilt):
    """A row of books<N> against the rebuilt book inside the reach of `at`, its row of depth."""
    u = row["update_id"]
    for side in SIDES:
        reach, proven = at[f"{side}_reach"], row[f"{side}_levels_proven"]
        want = rebuilt.inside(side, reach, LEVELS)
        got = [(row[f"{side}_price_{i}"], row[f"{side}_qty_{i}"]) for i in range(LEVELS)]
        assert got[: len(want)] == want, f"{u} {side}: {got[:3]} is not {want[:3]}"
        assert all(level == (None, None) for level in got[len(want) :]), f"{u} {side}: levels that are not there"
        assert proven == (len(want) if is_limited(reach) else LEVELS), f"{u} {side}: {proven} proven"
        assert (row[f"best_{side}_price"], row[f"best_{side}_qty"]) == want[0]
    bid, ask = row["best_bid_price"], row["best_ask_price"]
    assert bid < ask
    assert row["mid"] == (bid + ask) / 2 and row["spread"] == ask - bid
    assert (row["prev_update_id"], row["first_update_id"]) == (event["pu"], event["U"])
    assert same_time(row["event_time"], event["E"])


def check_golden(row, checkpoint):
    for side, key in (("bid", "topBids"), ("ask", "topAsks")):
        best = [(float(price), float(qty)) for price, qty in checkpoint[key]][: row[f"{side}_levels_proven"]]
        assert best and [(row[f"{side}_price_{i}"], row[f"{side}_qty_{i}"]) for i in range(len(best))] == best, f"golden {row['update_id']}"


def check_ticker(row, ticker):
    want = [float(ticker[key]) for key in ("b", "B", "a", "A")]
    got = [row[name] for name in ("best_bid_price", "best_bid_qty", "best_ask_price", "best_ask_qty")]
    assert got == want, f"{row['update_id']}: the exchange's own best is {want}, the row's {got}"


def check_end(reason, reach, rebuilt):
    """A gap has the cause that it names: the first event that is not there shows it. Ends at that event."""
    event = rebuilt.step()
    if reason == "horizon":
        known = {side: rebuilt.inside(side, reach[side], 1) for side in SIDES}
        gone = [side for side in SIDES if not known[side] and is_limited(reach[side])]
        assert gone, f"a gap `horizon` before {event['u']}, where levels are known: {known}"
    else:
        assert reason == "sequence" and event["u"] in LOST, f"a gap `{reason}` before {event['u']}, which was sent"


def check_coverage(rows, ids):
    """Rows and coverage agree on which events are there. Returns why intervals ended, by their last id."""
    proven = [row for row in rows if row["state"] == "proven"]
    assert len(proven) == len(rows), "something was withdrawn"
    assert sum(row["rows"] for row in proven) == len(ids), "coverage counts other rows"
    covered = {event["u"] for event in events for row in proven if row["prev_id"] < event["u"] <= row["last_id"]}
    assert covered == ids, f"rows outside coverage {sorted(ids - covered)[:3]}, missing in it {sorted(covered - ids)[:3]}"
    return {row["last_id"]: row["ended_by"] for row in proven if row["ended_by"] not in (None, "stopped")}


def counted():
    totals = collections.Counter()
    for name in glob.glob(f"{bucket}/manifest/exchange=BinanceUsdm/symbol={symbol}/**/*.json", recursive=True):
        totals.update(json.load(open(name))["counts"])
    return totals


events, snapshot, tickers = recorded()
by_id = {event["u"]: event for event in events}
golden = {checkpoint["u"]: checkpoint for checkpoint in json.load(open(golden_path))["checkpoints"]}
books = {row["update_id"]: row for row in read(f"books{LEVELS}")}
depth = read("depth")
ids = [row["update_id"] for row in depth if row["kind"] == "delta"]
assert len(set(ids)) == len(ids), "a depth event twice"
assert set(books) == set(ids), "books and depth hold different events"
assert ids[-1] == events[-1]["u"], f"the last recorded event {events[-1]['u']} is missing, rows end at {ids[-1]}"
coverage = read("coverage")
ends = check_coverage([row for row in coverage if row["of_stream"] == "depth"], set(ids))
assert ends == check_coverage([row for row in coverage if row["of_stream"] == f"books{LEVELS}"], set(books))

rebuilt = Rebuilt(snapshot, events)
replays = collections.defaultdict(Replay)  # by file
last_of_file = {row["filename"]: row["seq"] for row in depth}
found = collections.Counter()
open_end = None
for row in depth:
    # an audit may vouch for the book after the last event, and before anybody knows that it was the last
    vouched = row["kind"] == "book" and row["update_id"] in ends
    if open_end is not None and not vouched:
        check_end(*open_end, rebuilt)
        assert row["kind"] == "snapshot" and row["gap_before"], f"after a gap comes {row['kind']} {row['update_id']}"
        open_end = None
    u = row["update_id"]
    rebuilt.advance(u)
    replay = replays[row["filename"]]
    replay.apply(row)
    if row["kind"] == "delta":
        check_delta(row, by_id[u])
        check_books(books[u], by_id[u], row, rebuilt)
        found["rows"] += 1
        for name, known, check in (("golden", golden, check_golden), ("tickers", tickers, check_ticker)):
            if u in known:
                check(books[u], known[u])
                found[name] += 1
    else:
        check_whole(row, rebuilt)
        found[row["kind"]] += 1
    if u in ends and row["kind"] != "snapshot":
        open_end = (ends[u], dict(replay.reach))
    if found["rows"] % WHOLE_EVERY == 0 or row["seq"] == last_of_file[row["filename"]]:
        for side in SIDES:
            assert replay.book[side] == dict(rebuilt.inside(side, replay.reach[side])), f"{u} {side}: depth does not replay to the book"
        found["whole"] += 1

counts = counted()
print(
    json.dumps(
        {
            "rows": found["rows"],
            "files": len(replays),
            "golden": found["golden"],
            "tickers": found["tickers"],
            "whole": found["whole"],
            "snapshots": found["snapshot"],
            "books": found["book"],
            "gaps": collections.Counter(ends.values()),
            "audits": {name: counts[f"audits_{name}"] for name in ("clean", "mismatch", "void")},
            "events": len(events),
        }
    )
)
