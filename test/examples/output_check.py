"""What executed notebooks show: the figures of their last cell, their pictures, and what they printed as errors.

Prints a JSON object by notebook: {figures, pictures: [{width, height, colours: {name: share of pixels}}], warnings}.

usage: output_check.py NOTEBOOK.ipynb…
"""

import base64
import io
import json
import sys
from pathlib import Path

import matplotlib.colors
import matplotlib.image
import numpy as np

COLOURS = ("tab:blue", "tab:green", "tab:orange", "tab:red", "white")
#: Of a channel, from 0 to 1: lines are drawn with soft edges.
NEAR = 0.06


def picture(data):
    pixels = matplotlib.image.imread(io.BytesIO(base64.b64decode(data)))[:, :, :3]
    near = {name: np.abs(pixels - matplotlib.colors.to_rgb(name)).max(axis=2) < NEAR for name in COLOURS}
    height, width = pixels.shape[:2]
    return {"width": width, "height": height, "colours": {name: float(found.mean()) for name, found in near.items()}}


done = {}
for name in sys.argv[1:]:
    outputs = [one for cell in json.loads(Path(name).read_text())["cells"] for one in cell.get("outputs", [])]
    printed = ["".join(one["text"]) for one in outputs if one.get("name") == "stdout"]
    done[Path(name).stem] = {
        "figures": json.loads(printed[-1]),
        "pictures": [picture(one["data"]["image/png"]) for one in outputs if "image/png" in one.get("data", {})],
        "warnings": ["".join(one["text"]) for one in outputs if one.get("name") == "stderr"],
    }
print(json.dumps(done))
