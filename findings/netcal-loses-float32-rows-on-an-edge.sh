#!/usr/bin/env bash
# netcal's ECE of float32 confidences leaves out rows that lie on the edges .7 and .9 of its ten bins: two right rows
# at .7 have an error of 0. The same confidences in float64 have .3. Rounded confidences often lie on an edge.
# Seen with netcal 1.4.0: 0.0 at .7 and .9 in float32, .3 and .1 in float64; .316 and .296 for the 2,000 rows of one
# decimal below.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q netcal==1.4.0 torch==2.13.0 numpy==2.4.6
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
import numpy as np
from netcal.metrics import ECE

right = np.array([1, 1])
errors = {
    (kind, value): float(ECE(10).measure(np.full(2, value, kind), right))
    for kind in ("float32", "float64") for value in (0.6, 0.7, 0.8, 0.9)
}
draw = np.random.default_rng(0)
confidences = draw.uniform(0, 1, 2000).round(1)
correct = (draw.uniform(0, 1, 2000) < confidences**4).astype(int)
many = [float(ECE(10).measure(confidences.astype(kind), correct)) for kind in ("float32", "float64")]
print({key: round(error, 4) for key, error in errors.items()}, [round(error, 4) for error in many])
assert errors["float32", 0.7] == errors["float32", 0.9] == 0.0, "the behaviour has changed"
exact = all(abs(error - (1 - value)) < 1e-6 for (_, value), error in errors.items() if error)
assert exact and all(errors["float64", value] for value in (0.7, 0.9)), "the behaviour has changed"
assert abs(many[0] - many[1]) > 1e-3, "the behaviour has changed"
PY
