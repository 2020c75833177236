"""Runs every SQL and Python block of a page, as it stands there, in a directory that holds the bucket as `data/`.

SQL blocks share one DuckDB connection, Python blocks have a namespace each. Prints a JSON list, one entry a block:
{heading, language, columns, rows, counts} for SQL (values as text, of its last statement; rows of each statement that
asks for some), {heading, language, output} for Python. Fails with the heading and the block's first line where one
does not run.

Blocks whose fence says `s3` besides the language read object storage: they run where the third argument says so, and
then no others do. Where the store is they know from the environment.

usage: snippets_check.py PAGE.md DIRECTORY [s3]
"""

import contextlib
import io
import json
import os
import re
import sys
import traceback

import duckdb

document, directory, wanted = sys.argv[1], sys.argv[2], " ".join(sys.argv[3:])
page = os.path.basename(document)
lines = open(document, encoding="utf-8").read().split("\n")
os.chdir(directory)
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")

blocks, heading, at = [], "", 0
while at < len(lines):
    line = lines[at]
    fence = re.match(r"^```(\w*) ?(s3)?$", line)
    if fence:
        end = lines.index("```", at + 1)
        if (fence.group(2) or "") == wanted:
            blocks.append((heading, fence.group(1), "\n".join(lines[at + 1 : end]), at + 2))
        at = end
    elif line.startswith("#"):
        heading = line.lstrip("# ").strip("`")
    at += 1

done = []
for heading, language, text, number in blocks:
    try:
        if language == "sql":
            columns, rows, counts = [], [], []
            for statement in connection.extract_statements(text):
                found = connection.execute(statement)
                columns = [column[0] for column in found.description or []]
                rows = [[None if value is None else str(value) for value in row] for row in found.fetchall()]
                if statement.type == duckdb.StatementType.SELECT:
                    counts.append(len(rows))
            done.append(
                {"heading": heading, "language": language, "columns": columns, "rows": rows, "counts": counts}
            )
        elif language == "python":
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(text, f"{page}:{number}", "exec"), {"__name__": "snippet"})
            done.append({"heading": heading, "language": language, "output": output.getvalue()})
    except Exception:
        sys.exit(f"{page} line {number}, under {heading!r}, does not run:\n{traceback.format_exc()[-1500:]}")
print(json.dumps(done))
