"""Reads a made bucket with every reader that DATA.md names and compares it with what was sent, bit for bit.

EXPECTED.json holds, for each stream of each symbol, the documented columns with their types, and for each file its
rows as the test worked them out from its own inputs: integers and times as decimal text (times in the column's unit),
infinity as "inf". Every reader must give exactly the documented columns, in order, in exactly these types, and
exactly these values: no integer as a float, no NaN for a null, no double that differs in one bit.

usage: types_check.py EXPECTED.json
"""

import array
import hashlib
import json
import os
import sys
from datetime import datetime, timedelta, timezone

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

expected = json.load(open(sys.argv[1]))
ROOT = expected["root"]
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)
GROUP_ROWS = 8192

# documented type → what each reader must call it
TYPES = {
    "string": ("string", "VARCHAR", pl.String(), "str"),
    "int32": ("int32", "INTEGER", pl.Int32(), "int32"),
    "int64": ("int64", "BIGINT", pl.Int64(), "int64"),
    "double": ("double", "DOUBLE", pl.Float64(), "float64"),
    "boolean": ("bool", "BOOLEAN", pl.Boolean(), "bool"),
    "timestamp[us, UTC]": ("timestamp[us, tz=UTC]", "TIMESTAMP WITH TIME ZONE", pl.Datetime("us", "UTC"), "datetime64[us, UTC]"),
    "timestamp[ms, UTC]": ("timestamp[ms, tz=UTC]", "TIMESTAMP WITH TIME ZONE", pl.Datetime("ms", "UTC"), "datetime64[ms, UTC]"),
    "list<double>": ("list<element: double not null>", "DOUBLE[]", pl.List(pl.Float64()), "object"),
}
ARROW, DUCKDB, POLARS, PANDAS = range(4)
HIVE = [("exchange", pa.string()), ("symbol", pa.string()), ("stream", pa.string()), ("date", pa.date32())]
HIVE_POLARS = {"exchange": pl.String, "symbol": pl.String, "stream": pl.String, "date": pl.Date}
HIVE_DUCKDB = "hive_partitioning=true, hive_types={'exchange': VARCHAR, 'symbol': VARCHAR, 'stream': VARCHAR, 'date': DATE}"
checked = {}


def fail(reader, series, what):
    sys.exit(f"{reader}, {series['symbol']} {series['stream']}: {what}")


def want_of(series):
    """Expected columns over all files in order, as Python values; `seq` and `detail` are not among them."""
    columns = {}
    for name in series["files"][0]["columns"]:
        kind = next(column["type"] for column in series["schema"] if column["name"] == name)
        values = [cell for file in series["files"] for cell in file["columns"][name]]
        if kind.startswith(("int", "timestamp")):
            values = [int(cell) for cell in values]
        elif kind == "double":
            values = [cell if cell is None else float(cell) for cell in values]
        elif kind == "list<double>":
            values = [[float(item) for item in cell] for cell in values]
        columns[name] = values
    return columns


def short(value):
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text)} characters)"


def bits(values):
    flat = [v for value in values if value is not None for v in (value if isinstance(value, list) else [value])]
    return array.array("d", flat).tobytes()


def compare(reader, series, want, got):
    """Every column of `got` against `want`; the order of rows is (run, seq)."""
    rows = len(got["run"])
    for name, values in want.items():
        have = got[name]
        if rows != len(values):
            fail(reader, series, f"{rows} rows, expected {len(values)}")
        if have != values or [type(v) for v in have[:50]] != [type(v) for v in values[:50]]:
            row = next((i for i, (a, b) in enumerate(zip(have, values)) if a != b or type(a) is not type(b)), 0)
            where = f"run {got['run'][row]} seq {got['seq'][row]}"
            fail(reader, series, f"column {name}, row {row} ({where}): {short(have[row])}, expected {short(values[row])}")
        if isinstance(next((v for v in values if v is not None), None), (float, list)) and bits(have) != bits(values):
            fail(reader, series, f"column {name}: equal values with different bits")
    for row in range(1, rows):
        if got["run"][row] == got["run"][row - 1] and got["seq"][row] <= got["seq"][row - 1]:
            fail(reader, series, f"column seq, row {row}: {got['seq'][row]} after {got['seq'][row - 1]}")
    checked.setdefault(reader, [0, 0])
    checked[reader][0] += rows
    checked[reader][1] += rows * len(want)


def compare_schema(reader, series, which, names, types, hive):
    wanted = [column["name"] for column in series["schema"]]
    if names[: len(wanted)] != wanted:
        fail(reader, series, f"columns {names}, expected {wanted}")
    # the order of partition columns is the reader's own
    if sorted(names[len(wanted) :]) != sorted(hive):
        fail(reader, series, f"partition columns {names[len(wanted):]}, expected {list(hive)}")
    for column, have in zip(series["schema"], types):
        if have != TYPES[column["type"]][which]:
            fail(reader, series, f"column {column['name']} is {have}, expected {TYPES[column['type']][which]}")


def folder(series):
    return os.path.dirname(os.path.dirname(f"{ROOT}/{series['files'][0]['key']}"))


# ---- readers: each gives {column: Python values}, rows in the order of (run, seq)


def arrow_values(table):
    table = table.sort_by([("run", "ascending"), ("seq", "ascending")])
    columns = {}
    for field in table.schema:
        column = table[field.name]
        if pa.types.is_timestamp(field.type):
            column = column.cast(pa.int64())
        columns[field.name] = column.to_pylist()
    return columns


def read_arrow(series):
    files = [f"{ROOT}/{file['key']}" for file in series["files"]]
    partitioning = ds.partitioning(pa.schema(HIVE), flavor="hive")
    table = ds.dataset(files, partitioning=partitioning, partition_base_dir=f"{ROOT}/parquet").to_table()
    names = [field.name for field in table.schema]
    compare_schema("pyarrow", series, ARROW, names, [str(field.type) for field in table.schema], dict(HIVE))
    if set(table["symbol"].to_pylist()) - {series["symbol"]} or table.schema.field("date").type != pa.date32():
        fail("pyarrow", series, "partition columns are not as typed")
    return arrow_values(table)


def pandas_values(frame):
    columns = {}
    for name in frame.columns:
        column = frame[name]
        if str(column.dtype).startswith("datetime64"):
            columns[name] = column.astype("int64").tolist()
        elif str(column.dtype) == "object":
            columns[name] = [v if v is None or isinstance(v, str) else v.tolist() for v in column]
        else:
            columns[name] = [None if v is None or v != v else v for v in column.tolist()]
    return columns


def read_pandas(series):
    frame = pd.read_parquet(folder(series)).sort_values(["run", "seq"])
    compare_schema("pandas", series, PANDAS, list(frame.columns), [str(t) for t in frame.dtypes], ["date"])
    return pandas_values(frame)


def read_pandas_file(series):
    """One file, and with Arrow types, in which a null stays a null."""
    frames = []
    for file in series["files"]:
        path = f"{ROOT}/{file['key']}"
        frame = pd.read_parquet(path, partitioning=None)
        compare_schema("pandas, one file", series, PANDAS, list(frame.columns), [str(t) for t in frame.dtypes], [])
        arrow = pd.read_parquet(path, partitioning=None, dtype_backend="pyarrow")
        for column in series["schema"]:
            if column["type"] == "double" and arrow[column["name"]].isna().tolist() != frame[column["name"]].isna().tolist():
                fail("pandas", series, f"column {column['name']} of {file['key']}: NaN and null disagree")
        if frame["seq"].tolist() != sorted(frame["seq"].tolist()):
            fail("pandas", series, f"{file['key']} is not in the order of seq")
        frames.append(frame)
    return pandas_values(pd.concat([frame for frame in frames if len(frame)] or frames))


def read_polars(series):
    lazy = pl.scan_parquet(f"{folder(series)}/*/*.parquet", hive_partitioning=True, hive_schema=HIVE_POLARS)
    frame = lazy.collect().sort("run", "seq")
    compare_schema("polars", series, POLARS, frame.columns, frame.dtypes, HIVE_POLARS)
    if set(frame["symbol"].to_list()) - {series["symbol"]} or frame.schema["date"] != pl.Date:
        fail("polars", series, "partition columns are not as typed")
    columns = {}
    for name, dtype in frame.schema.items():
        column = frame[name].to_physical() if isinstance(dtype, pl.Datetime) else frame[name]
        columns[name] = column.to_list()
    return columns


duck = duckdb.connect()
duck.execute("SET TimeZone = 'UTC'")


def read_duckdb(series):
    relation = f"read_parquet('{folder(series)}/*/*.parquet', {HIVE_DUCKDB})"
    described = duck.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    compare_schema("duckdb", series, DUCKDB, [row[0] for row in described], [row[1] for row in described], dict(HIVE))
    rows = duck.execute(f"SELECT * FROM {relation} ORDER BY run, seq").fetchall()
    units = {column["name"]: 1000 if "ms" in column["type"] else 1 for column in series["schema"] if "timestamp" in column["type"]}
    columns = {}
    for index, (name, *_) in enumerate(described):
        values = [row[index] for row in rows]
        if name in units:
            values = [(value - EPOCH) // MICROSECOND // units[name] for value in values]
        columns[name] = values
    if set(columns["symbol"]) - {series["symbol"]}:
        fail("duckdb", series, "partition columns are not as typed")
    return columns


READERS = {"pyarrow": read_arrow, "pandas": read_pandas, "pandas, one file": read_pandas_file, "polars": read_polars, "duckdb": read_duckdb}


# ---- what a file says of itself, and its manifest


def check_file(series, file):
    path = f"{ROOT}/{file['key']}"
    footer = pq.read_metadata(path)
    entry = json.loads(footer.metadata[b"l2cap"])
    writer = entry.pop("writer")
    said = {"schema": 1, "exchange": series["exchange"], "symbol": series["symbol"], "stream": series["stream"]}
    if entry != said or not writer.startswith("l2cap "):
        fail("footer", series, f"{file['key']} says {entry}, {writer!r}; expected {said}")
    groups = [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]
    if sum(groups) != file["rows"] or any(rows != GROUP_ROWS for rows in groups[:-1]):
        fail("footer", series, f"{file['key']}: row groups of {groups}, expected {file['rows']} rows in groups of {GROUP_ROWS}")
    for column, field in zip(series["schema"], pq.read_schema(path)):
        if column["nullable"] != field.nullable:
            fail("footer", series, f"column {column['name']}: nullable is {field.nullable}, documented {column['nullable']}")
    return len(groups)


def check_manifests(keys):
    """Every file is named by one manifest, with its size, hash and rows; coverage is in both, alike."""
    named = 0
    for base, _, names in os.walk(f"{ROOT}/manifest"):
        for name in names:
            manifest = json.load(open(f"{base}/{name}"))
            coverage = None
            for thing in manifest["objects"]:
                path = f"{ROOT}/{thing['key']}"
                data = open(path, "rb").read()
                table = pq.read_table(path, partitioning=None)
                same = (len(data), hashlib.sha256(data).hexdigest(), table.num_rows) == (thing["bytes"], thing["sha256"], thing["rows"])
                if not same or thing["key"] not in keys:
                    sys.exit(f"manifest {name}: {thing['key']} is not as it says")
                if thing["rows"] and (int(thing["first_seq"]), int(thing["last_seq"])) != (table["seq"][0].as_py(), table["seq"][-1].as_py()):
                    sys.exit(f"manifest {name}: {thing['key']} has another first or last seq")
                named += 1
                coverage = table if thing["stream"] == "coverage" else coverage
            rows = []
            for row in coverage.to_pylist():
                row["from"], row["to"] = row.pop("from_time"), row.pop("to_time")
                rows.append({key: str(value) if key in ("prev_id", "first_id", "last_id", "seq") else value for key, value in row.items()})
            for row, stated in zip(rows, manifest["coverage"], strict=True):
                for key, value in stated.items():
                    have = row[key].strftime("%Y-%m-%dT%H:%M:%S.%fZ") if key in ("from", "to") else row[key]
                    if have != value:
                        sys.exit(f"manifest {name}: coverage {key} is {value!r}, its file says {have!r}")
    if named != len(keys):
        sys.exit(f"manifests name {named} files, there are {len(keys)}")


def check_order(by_stream):
    """Rows of all streams of a run, sorted by seq, are in the order in which the test sent what they are made of."""
    for run in expected["order"]:
        rows = []
        for series in expected["series"]:
            if series["symbol"] != run["symbol"]:
                continue
            got = by_stream[(series["symbol"], series["stream"])]
            rows += [(seq, series["stream"]) for seq, of in zip(got["seq"], got["run"]) if of == run["run"]]
        rows.sort()
        if len({seq for seq, _ in rows}) != len(rows):
            sys.exit(f"run {run['run']}: a seq twice")
        if [stream for _, stream in rows] != [stream for stream, _ in run["order"]]:
            sys.exit(f"run {run['run']}: rows by seq are not in the order of their inputs")


by_stream = {}
keys, row_groups_max = set(), 0
for series in expected["series"]:
    want = want_of(series)
    for reader, read in READERS.items():
        got = read(series)
        compare(reader, series, want, got)
        if reader == "pyarrow":
            by_stream[(series["symbol"], series["stream"])] = got
        elif got["seq"] != by_stream[(series["symbol"], series["stream"])]["seq"]:
            fail(reader, series, "column seq differs from pyarrow's")
        if "detail" in got and got["detail"] != by_stream[(series["symbol"], series["stream"])]["detail"]:
            fail(reader, series, "column detail differs from pyarrow's")
        for date in {file["date"] for file in series["files"]}:
            rows = sum(file["rows"] for file in series["files"] if file["date"] == date)
            if "date" in got and sum(str(d) == date for d in got["date"]) != rows:
                fail(reader, series, f"date {date}: expected {rows} rows")
    for file in series["files"]:
        keys.add(file["key"])
        row_groups_max = max(row_groups_max, check_file(series, file))

if {series["symbol"] for series in expected["series"]} != {"BTCUSDT", "ETHUSDT", "007", "币安人生USDT"}:
    sys.exit("the bucket lacks a symbol")
there = {os.path.relpath(os.path.join(base, name), ROOT) for base, _, names in os.walk(f"{ROOT}/parquet") for name in names}
if there != keys:
    sys.exit(f"files that are not expected, or missing: {sorted(there ^ keys)}")
check_order(by_stream)
check_manifests(keys)
print(json.dumps({"readers": checked, "files": len(keys), "rowGroupsMax": row_groups_max}))
