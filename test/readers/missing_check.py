"""Holds the SQL of DATA.md that finds what is missing against brute force, on many made-up days.

A day is a chain of events. Runs capture stretches of it, by clocks that disagree, cut into windows; some intervals
are withdrawn from a point on, also over several windows; some have no evidence in a window. Brute force marks each
link of the chain that some run proves and reads off the rest. Streams without a chain are held against time alone.

usage: missing_check.py DATA.md SEED DAYS
"""

import json
import random
import re
import sys
from datetime import datetime, timedelta, timezone

import duckdb
import pyarrow as pa

document, seed, days = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
text = open(document, encoding="utf-8").read()
section = text[text.index("### What is missing") : text.index("### Only rows")]
view, by_id, by_time = re.findall(r"```sql\n(.*?)```", section, re.S)
pick = random.Random(seed)
START = datetime(2026, 11, 22, tzinfo=timezone.utc)
IDS_FROM = 2**53
COLUMNS = ("exchange", "symbol", "run", "seq", "of_stream", "from_time", "to_time", "prev_id", "last_id", "state")
rows, want_by_id, want_by_time, suspects = [], [], [], 0


def at(seconds):
    return START + timedelta(seconds=seconds)


def chained_day(day):
    """Adds one day's coverage; returns the holes that brute force finds."""
    global suspects
    ids, identity = [], IDS_FROM
    for _ in range(40):
        identity += pick.randint(1, 30)
        ids.append(identity)
    links, kept, seq = set(), [], 0
    for run in range(pick.randint(1, 4)):
        skew, position = pick.choice((0, 0, 0.6, -0.6, 5)), pick.randint(0, 20)
        while position < len(ids) and pick.random() < 0.8:
            begin, end = position, min(position + pick.randint(0, 15), len(ids) - 1)
            # a withdrawal reaches from an event to the end of the interval, over all its windows
            withdrawn = pick.randint(begin, end) if end > begin and pick.random() < 0.3 else None
            cuts = sorted(pick.choices(range(begin, end + 1), k=pick.randint(0, 3)))
            for a, b in zip([begin] + cuts, cuts + [end]):
                rows.append(("BinanceUsdm", day, f"run{run}", seq, "depth", at(a + skew), at(b + skew), ids[a], ids[b], "proven"))
                seq += 1
                # of a window that reaches into what is withdrawn, the part before it is left, if any
                left = withdrawn if withdrawn is not None and a < end and b > withdrawn else b
                if left >= a:
                    kept.append((a, left, a + skew, left + skew))
                    links.update(range(a, left))
            if withdrawn is not None and withdrawn < end:
                rows.append(("BinanceUsdm", day, f"run{run}", seq, "depth", at(withdrawn + skew), at(end + skew), ids[withdrawn], ids[end], "suspect"))
                seq += 1
                suspects += 1
            position = end + pick.randint(0, 6)
    # a stretch is a maximal row of events joined by proven links; an interval without a row is a point
    stretches = []
    for a, b, start, stop in sorted(kept):
        for stretch in stretches:
            if any(index in stretch["at"] for index in range(a, b + 1)):
                break
        else:
            stretch = {"at": {a}, "from": start, "to": stop}
            stretches.append(stretch)
            low, high = a, a
            while low - 1 in links:
                low -= 1
            while high in links:
                high += 1
            stretch["at"] = set(range(low, high + 1))
        stretch["from"], stretch["to"] = min(stretch["from"], start), max(stretch["to"], stop)
    stretches.sort(key=lambda stretch: min(stretch["at"]))
    for before, after in zip(stretches, stretches[1:]):
        hole = (at(before["to"]), at(after["from"]), ids[max(before["at"])], ids[min(after["at"])])
        want_by_id.append(("BinanceUsdm", day, "depth") + hole)


def unchained_day(day):
    covered = set()
    for seq in range(pick.randint(1, 8)):
        start = pick.randint(0, 60)
        stop = start + pick.randint(0, 10)
        rows.append(("BinanceUsdm", day, f"run{pick.randint(0, 2)}", seq, "mark_price", at(start), at(stop), 0, 0, "observed"))
        covered.update(range(2 * start, 2 * stop + 1))  # half seconds, so that touching and adjacent differ
    before = min(covered)
    for half in sorted(covered):
        if half > before + 1:
            want_by_time.append(("BinanceUsdm", day, "mark_price", at(before / 2), at(half / 2)))
        before = half


for number in range(days):
    chained_day(f"D{number:05}")
    unchained_day(f"D{number:05}")

table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(COLUMNS)})
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
connection.register("made", table)
connection.execute("CREATE VIEW coverage AS SELECT * FROM made")
for name, query, want in (("by id", by_id, want_by_id), ("by time", by_time, want_by_time)):
    have = sorted(connection.execute(query).fetchall(), key=lambda row: (row[1], row[-2] if name == "by id" else row[3]))
    want.sort(key=lambda row: (row[1], row[-2] if name == "by id" else row[3]))
    for a, b in zip(have, want):
        if a != b:
            sys.exit(f"missing {name}, seed {seed}: the SQL says {a}, brute force {b}")
    if len(have) != len(want):
        sys.exit(f"missing {name}, seed {seed}: the SQL finds {len(have)} holes, brute force {len(want)}")
print(json.dumps({"intervals": len(rows), "suspects": suspects, "byId": len(want_by_id), "byTime": len(want_by_time)}))
