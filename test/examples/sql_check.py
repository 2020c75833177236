"""Runs SQL files as they stand, but for the address of the bucket, in a connection each.

Prints a JSON object by file: a list of {columns, rows} of the statements that give rows, values as text. An s3://
address is read with pyarrow's file system and the environment's credentials.

usage: sql_check.py ADDRESS FILE.sql…
"""

import json
import os
import sys
from pathlib import Path

import duckdb
import pyarrow.fs as pafs
from fsspec.implementations.arrow import ArrowFSWrapper

ADDRESS_LINE = "SET VARIABLE bucket = 'data';"
address = sys.argv[1]
done = {}
for name in sys.argv[2:]:
    text = Path(name).read_text(encoding="utf-8")
    if text.count(ADDRESS_LINE) != 1:
        sys.exit(f"{name}: not one line {ADDRESS_LINE!r}")
    connection = duckdb.connect()
    if address.startswith("s3://"):
        scheme, host = os.environ["AWS_ENDPOINT_URL_S3"].split("://")
        store = pafs.S3FileSystem(scheme=scheme, endpoint_override=host, tls_ca_file_path=os.environ.get("AWS_CA_BUNDLE"))
        connection.register_filesystem(ArrowFSWrapper(store))
    results = []
    for statement in connection.extract_statements(text.replace(ADDRESS_LINE, f"SET VARIABLE bucket = '{address}';")):
        try:
            connection.execute(statement)
        except duckdb.Error as error:
            sys.exit(f"{name} does not run:\n{statement.query.strip()}\n{error}")
        if statement.type == duckdb.StatementType.SELECT:
            columns = [column[0] for column in connection.description]
            rows = [[None if value is None else str(value) for value in row] for row in connection.fetchall()]
            results.append({"columns": columns, "rows": rows})
    done[Path(name).stem] = results
print(json.dumps(done))
