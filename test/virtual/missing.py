"""What is missing in the bucket `data` of a directory, by the SQL of DATA.md alone: stream, after which id, before which.

usage: missing.py DATA.md DIRECTORY
"""

import json
import os
import re
import sys

import duckdb

document, directory = sys.argv[1:]
text = open(document, encoding="utf-8").read()
section = text[text.index("### What is missing") : text.index("### Only rows")]
view, by_id, _ = re.findall(r"```sql\n(.*?)```", section, re.S)
os.chdir(directory)
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
connection.execute(view)
found = connection.execute(by_id).fetchall()
print(json.dumps([[stream, str(after), str(before)] for _, _, stream, _, _, after, before in found]))
