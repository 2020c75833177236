"""Compares a captured symbol with the recording that it was captured from, knowing only the bucket and the recording.

The book is rebuilt here from the recorded frames with exact decimals, never pruned. Then
- every row of books<N> must be the rebuilt top N at the row's id, inside the reach that `depth` states at that id;
- the best five at the golden checkpoints must be the golden ones;
- each depth file, alone, must replay to the rebuilt book inside its reach: every 50th row, and the last of each file;
- every depth event from the first row to the last must be there, once, and coverage must say so.

usage: recording_check.py BUCKET SYMBOL RECORDING.frames.gz GOLDEN.json LEVELS
"""

import glob
import gzip
import heapq
import json
import sys
from decimal import Decimal

import duckdb

bucket, symbol, recording, golden_path, levels = sys.argv[1:6]
LEVELS = int(levels)


def recorded():
    """The recording's depth events of the symbol, from the first that meets the snapshot, and the snapshot's levels."""
    events, snapshot = [], None
    wanted = f'"s":"{symbol}"'
    with gzip.open(recording, "rt") as lines:
        for line in lines:
            _, via, payload = line.rstrip("\n").split("\t", 2)
            if via == "ws" and "depthUpdate" in payload and wanted in payload:
                events.append(json.loads(payload)["data"])
            elif via.startswith("http /fapi/v1/depth") and f"symbol={symbol}&" in via and snapshot is None:
                snapshot = json.loads(payload)
    last = snapshot["lastUpdateId"]
    return [event for event in events if event["u"] >= last], snapshot


class Rebuilt:
    def __init__(self, snapshot):
        self.sides = [{}, {}]
        for side, name in enumerate(("bids", "asks")):
            for price, qty in snapshot[name]:
                self.sides[side][float(price)] = Decimal(qty)

    def apply(self, event):
        for side, name in enumerate("ba"):
            for price, qty in event[name]:
                qty = Decimal(qty)
                if qty:
                    self.sides[side][float(price)] = qty
                else:
                    self.sides[side].pop(float(price), None)

    def top(self, side, reach, count):
        book = self.sides[side]
        inside = (p for p in book if (p >= reach if side == 0 else p <= reach))
        best = heapq.nlargest(count, inside) if side == 0 else heapq.nsmallest(count, inside)
        return [(p, float(book[p])) for p in best]

    def inside(self, side, reach):
        return {p: float(q) for p, q in self.sides[side].items() if (p >= reach if side == 0 else p <= reach)}


def read(stream):
    files = sorted(glob.glob(f"{bucket}/parquet/exchange=BinanceUsdm/symbol={symbol}/stream={stream}/date=*/*.parquet"))
    assert files, f"no files of {stream}"
    frame = duckdb.sql(f"SELECT * FROM read_parquet({files!r}, filename=true, hive_partitioning=false) ORDER BY run, seq")
    names = frame.columns
    return [dict(zip(names, row)) for row in frame.fetchall()]


events, snapshot = recorded()
golden = json.load(open(golden_path))
checkpoints = {checkpoint["u"]: checkpoint for checkpoint in golden["checkpoints"]}
books = {row["update_id"]: row for row in read(f"books{LEVELS}")}
depth = read("depth")
deltas = {row["update_id"]: row for row in depth if row["kind"] == "delta"}
assert len(deltas) == sum(row["kind"] == "delta" for row in depth), "a depth event twice"
assert set(books) == set(deltas), "books and depth hold different events"

first, last = min(books), max(books)
expected = [event["u"] for event in events if first <= event["u"] <= last]
assert sorted(books) == expected, f"{len(expected)} events from first to last row, {len(books)} rows"
assert last == events[-1]["u"], f"the last recorded event {events[-1]['u']} is missing, rows end at {last}"

rebuilt = Rebuilt(snapshot)
lasts = {u for (u, _) in {row["filename"]: (row["update_id"], row["seq"]) for row in depth}.values()}
replayed = {}  # file → [bids, asks], each file by itself
rows_by_id = {}
for row in depth:
    rows_by_id.setdefault(row["update_id"], []).append(row)
compared = golden_compared = unproven = whole = 0
previous = snapshot["lastUpdateId"]


def replay(row):
    sides = replayed.get(row["filename"])
    if row["kind"] == "delta":
        assert sides is not None, f"{row['filename']} begins with a delta"
    else:
        if row["kind"] == "book" and sides is not None:
            pass  # ours, inside its horizon: replaces the book as well
        sides = replayed[row["filename"]] = [{}, {}]
    for side, name in enumerate(("bid", "ask")):
        reach = row[f"{name}_reach"]
        for price, qty in zip(row[f"{name}_prices"], row[f"{name}_qtys"]):
            if (price < reach) if side == 0 else (price > reach):
                continue
            if qty:
                sides[side][price] = qty
            else:
                sides[side].pop(price, None)
    return sides


for event in events:
    u = event["u"]
    # a whole book at an id inside an event's range stands before that event, at the id of the one before
    for row in rows_by_id.get(previous, []):
        if row["kind"] != "delta" and previous not in deltas:
            replay(row)
    rebuilt.apply(event)
    row = books.get(u)
    if row is not None:
        at = [r for r in rows_by_id[u] if r["kind"] == "delta"][0]
        for r in sorted(rows_by_id[u], key=lambda r: r["seq"]):
            sides = replay(r)
        for side, name in enumerate(("bid", "ask")):
            reach = at[f"{name}_reach"]
            proven = row[f"{name}_levels_proven"]
            want = rebuilt.top(side, reach, LEVELS)
            got = [(row[f"{name}_price_{i}"], row[f"{name}_qty_{i}"]) for i in range(LEVELS)]
            assert got[: len(want)] == want, f"{u} {name}: {got[:3]} is not {want[:3]}"
            assert all(level == (None, None) for level in got[len(want) :]), f"{u} {name}: levels that are not there"
            limited = reach != 0 and reach != float("inf")
            assert proven == (len(want) if limited else LEVELS), f"{u} {name}: {proven} proven"
            unproven += LEVELS - proven
            assert (row[f"best_{name}_price"], row[f"best_{name}_qty"]) == want[0]
            if compared % 50 == 0 or u in lasts:
                assert sides[side] == rebuilt.inside(side, reach), f"{u} {name}: depth does not replay to the book"
                whole += 1
        bid, ask = row["best_bid_price"], row["best_ask_price"]
        assert bid < ask
        assert row["mid"] == (bid + ask) / 2 and row["spread"] == ask - bid
        assert (row["prev_update_id"], row["first_update_id"]) == (event["pu"], event["U"])
        assert row["event_time"].timestamp() == event["E"] / 1000 or abs(row["event_time"].timestamp() - event["E"] / 1000) < 1e-6
        if u in checkpoints:
            checkpoint = checkpoints[u]
            for name, key in (("bid", "topBids"), ("ask", "topAsks")):
                reach = at[f"{name}_reach"]
                best = [(float(p), float(q)) for p, q in checkpoint[key]]
                best = [(p, q) for p, q in best if (p >= reach if name == "bid" else p <= reach)]
                assert [(row[f"{name}_price_{i}"], row[f"{name}_qty_{i}"]) for i in range(len(best))] == best
            golden_compared += 1
        compared += 1
    previous = u

coverage = read("coverage")
proven = [row for row in coverage if row["of_stream"] == f"books{LEVELS}" and row["state"] == "proven"]
assert sum(row["rows"] for row in proven) == len(books), "coverage counts other rows"
covered = {u for u in books for row in proven if row["rows"] and row["prev_id"] < u <= row["last_id"]}
assert covered == set(books), "rows outside coverage"
print(
    json.dumps(
        {
            "rows": compared,
            "files": len(replayed),
            "golden": golden_compared,
            "unproven": unproven,
            "whole": whole,
            "gaps": sum(row["ended_by"] not in (None, "stopped") for row in proven),
            "events": len(events),
        }
    )
)
