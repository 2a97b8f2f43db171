#!/usr/bin/env bash
# Pillow converts a 16-bit greyscale image to 8 bits by clipping, not by scaling: every value above 255 becomes white.
# An image pipeline that calls `convert("RGB")` on a 16-bit PNG therefore sees a nearly white picture.
# Seen with pillow 13.0.0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pillow==13.0.0 numpy==2.4.6
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
import numpy as np
from PIL import Image

values = np.array([[0, 100, 255, 256, 30000, 65535]], dtype=np.uint16)
Image.fromarray(values).save("image.png")
image = Image.open("image.png")
red = np.asarray(image.convert("RGB"))[0, :, 0].tolist()
print(image.mode, red)
assert image.mode == "I;16" and red == [0, 100, 255, 255, 255, 255], "the behaviour has changed"
PY
