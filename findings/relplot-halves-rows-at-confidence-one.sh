#!/usr/bin/env bash
# relplot's smECE gives rows at a confidence of exactly 1 or 0, as saturated softmaxes have, half the weight of the
# others. Two right rows at .5 and 1 have a mean error of .25: relplot says .333 = .5 / (1 + 1/2), and .250 where the 1
# is .999.
# Seen with relplot 1.0.3.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q relplot==1.0.3 numpy==2.4.6
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import relplot

errors = {
    tuple(confidences): float(relplot.smECE(np.array(confidences), np.array([correct] * 2)))
    for *confidences, correct in ((0.5, 1.0, 1), (0.5, 0.999, 1), (0.0, 0.5, 0), (0.001, 0.5, 0))
}
print({confidences: round(error, 4) for confidences, error in errors.items()})
one, near_one, zero, near_zero = errors.values()
assert abs(one - 1 / 3) < 2e-3 and abs(zero - 1 / 3) < 2e-3, "the behaviour has changed"
assert abs(near_one - 0.25) < 2e-3 and abs(near_zero - 0.25) < 2e-3, "the behaviour has changed"
PY
