"""Holds readers to what DATA.md says of the columns that are in the path: types, filters, and pitfalls.

A filter on a date or a symbol must open the files of that date or symbol alone: in a copy of the bucket all others
are garbage, so whoever opens one fails. Each pitfall that DATA.md warns of must still be one.

usage: paths_check.py EXPECTED.json
"""

import json
import os
import shutil
import sys
import tempfile
from datetime import datetime

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

expected = json.load(open(sys.argv[1]))
ROOT = expected["root"]
HIVE = [("exchange", pa.string()), ("symbol", pa.string()), ("stream", pa.string()), ("date", pa.date32())]
HIVE_POLARS = {"exchange": pl.String, "symbol": pl.String, "stream": pl.String, "date": pl.Date}
HIVE_DUCKDB = "hive_partitioning=true, hive_types={'exchange': VARCHAR, 'symbol': VARCHAR, 'stream': VARCHAR, 'date': DATE}"
duck = duckdb.connect()


def folder(series):
    return os.path.dirname(os.path.dirname(f"{ROOT}/{series['files'][0]['key']}"))


def check_pruning():
    place = tempfile.mkdtemp()
    try:
        shutil.copytree(f"{ROOT}/parquet", f"{place}/parquet")
        files = [(series, file) for series in expected["series"] for file in series["files"]]
        date_rows = symbol_rows = 0
        # readers take the schema from the first file they list, which has to be one that is wanted
        encoded = {s["symbol"]: s["files"][0]["key"] for s in expected["series"] if s["stream"] == "trades"}
        first_symbol = min(encoded, key=encoded.get)
        first_date = min(file["date"] for series, file in files if series["symbol"] == "BTCUSDT")
        for series, file in files:
            if series["stream"] == "trades" and series["symbol"] == first_symbol:
                symbol_rows += file["rows"]
            elif series["stream"] == "depth" and series["symbol"] == "BTCUSDT" and file["date"] == first_date:
                date_rows += file["rows"]
            else:
                open(f"{place}/{file['key']}", "wb").write(b"garbage")
        by_date = f"{place}/parquet/exchange=BinanceUsdm/symbol=BTCUSDT/stream=depth"
        by_symbol = f"{place}/parquet/exchange=BinanceUsdm/symbol=*/stream=trades/*/*.parquet"
        paths = [f"{place}/{file['key']}" for series, file in files if series["stream"] == "trades"]
        paths.sort()
        partitioning = ds.partitioning(pa.schema(HIVE), flavor="hive")
        day = datetime.fromisoformat(first_date).date()
        counts = {
            "pandas by date": (len(pd.read_parquet(by_date, filters=[("date", "=", first_date)])), date_rows),
            "pyarrow by date": (
                ds.dataset(by_date, partitioning=partitioning).to_table(filter=pc.field("date") == pa.scalar(day)).num_rows,
                date_rows,
            ),
            "polars by date": (
                pl.scan_parquet(f"{by_date}/*/*.parquet", hive_partitioning=True, hive_schema=HIVE_POLARS).filter(pl.col("date") == day).collect().height,
                date_rows,
            ),
            "duckdb by date": (
                duck.execute(f"SELECT count(seq) FROM read_parquet('{by_date}/*/*.parquet', {HIVE_DUCKDB}) WHERE date = '{first_date}' AND seq > 0").fetchone()[0],
                date_rows,
            ),
            "pyarrow by symbol": (
                ds.dataset(paths, partitioning=partitioning, partition_base_dir=f"{place}/parquet").to_table(filter=pc.field("symbol") == first_symbol).num_rows,
                symbol_rows,
            ),
            "polars by symbol": (
                pl.scan_parquet(by_symbol, hive_partitioning=True, hive_schema=HIVE_POLARS).filter(pl.col("symbol") == first_symbol).collect().height,
                symbol_rows,
            ),
            "duckdb by symbol": (
                duck.execute(f"SELECT count(seq) FROM read_parquet('{by_symbol}', {HIVE_DUCKDB}) WHERE symbol = ? AND seq > 0", [first_symbol]).fetchone()[0],
                symbol_rows,
            ),
        }
        for name, (have, wanted) in counts.items():
            if have != wanted or wanted == 0:
                sys.exit(f"pruning, {name}: {have} rows, expected {wanted}")
        return len(counts)
    finally:
        shutil.rmtree(place)


def check_pitfalls():
    """Where a claim stops being true, the warning has to go."""
    digits = next(s for s in expected["series"] if s["symbol"] == "007" and s["stream"] == "trades")
    files = [f"{ROOT}/{file['key']}" for file in digits["files"]]
    glob = f"{folder(digits)}/*/*.parquet"
    keys = ["exchange", "symbol", "stream", "date"]
    listed = pd.read_parquet(files)
    arrow = pd.read_parquet(files[0], dtype_backend="pyarrow")
    claims = {
        "Polars without a schema makes 007 a number": pl.scan_parquet(glob, hive_partitioning=True).collect_schema()["symbol"] == pl.Int64,
        "Polars without hive_partitioning has no columns of the path": "symbol" not in pl.scan_parquet(glob).collect_schema()
        and "symbol" not in pl.scan_parquet(files).collect_schema(),
        "pyarrow without a schema makes 007 a number": ds.dataset(files, partitioning="hive", partition_base_dir=f"{ROOT}/parquet").schema.field("symbol").type == pa.int32(),
        "pandas gives a list of files all four columns, 007 as 7": list(listed.columns[-4:]) == keys and listed["symbol"].unique().tolist() == [7],
        "pandas gives a single file none": not set(keys) & set(pd.read_parquet(files[0]).columns),
        "pandas gives categories": str(pd.read_parquet(folder(digits))["date"].dtype) == "category",
        "pandas with dtype_backend='pyarrow' gives Arrow types": [str(arrow[name].dtype) for name in ("run", "seq", "received_time", "price", "gap_before")]
        == ["string[pyarrow]", "int64[pyarrow]", "timestamp[us, tz=UTC][pyarrow]", "double[pyarrow]", "bool[pyarrow]"],
        "DuckDB keeps 007": duck.execute(f"SELECT any_value(symbol) FROM read_parquet('{glob}', hive_partitioning=true)").fetchone() == ("007",),
    }
    for claim, holds in claims.items():
        if not holds:
            sys.exit(f"DATA.md, pitfalls: not true any more: {claim}")
    return len(claims)


print(json.dumps({"pruned": check_pruning(), "pitfalls": check_pitfalls()}))
