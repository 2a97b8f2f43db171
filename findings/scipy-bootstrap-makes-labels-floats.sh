#!/usr/bin/env bash
# `scipy.stats.bootstrap` brings all its samples to one number format before the statistic sees them: integers beside
# floats become floats, paired or not. Labels no longer index an array, and large whole numbers such as hashed ids of
# groups lose their last digits, so that two groups become one.
# Seen with scipy 1.17.1: int64 labels arrive as float64; two ids one apart count as 1 id.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q scipy==1.17.1 numpy==2.4.6
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
import numpy as np
from scipy.stats import bootstrap

ids, errors = np.array([2**53, 2**53 + 1]), np.array([0.1, 0.2])
kinds, distinct = {}, {}
for paired in (True, False):
    kinds[paired], distinct[paired] = set(), set()

    def mean(groups, values):
        kinds[paired].add(str(groups.dtype))
        distinct[paired].add(len(np.unique(groups)))
        return np.mean(values)

    bootstrap((ids, errors), mean, paired=paired, vectorized=False, n_resamples=50, method="percentile", rng=0)
print(len(np.unique(ids)), "ids;", "seen by the statistic:", kinds, distinct)
assert list(kinds.values()) == [{"float64"}] * 2 and list(distinct.values()) == [{1}] * 2, "the behaviour has changed"
PY
