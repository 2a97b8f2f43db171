#!/usr/bin/env bash
# The last bit of `torch.linspace` depends on the instructions that torch may use: .8 of `torch.linspace(0, 1, 16)`, the
# edges of 15 bins, is another float32 with AVX2 than without. A row on that edge changes its bin with the machine, or
# with ATEN_CPU_CAPABILITY, which chooses among the processor's instructions.
# Seen with torch 2.13.0: 0x1.999998p-1 without AVX2, 0x1.99999ap-1 with it. A processor without AVX2 shows nothing: the
# script says so and ends.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$work/venv/bin/python" -W ignore - <<'PY'
import json
import os
import subprocess
import sys

program = """
import json, torch
edges = torch.linspace(0, 1, 16)
print(json.dumps([torch.backends.cpu.get_cpu_capability(), [edge.hex() for edge in edges.tolist()]]))
"""

def edges(capability):
    environment = os.environ | {"ATEN_CPU_CAPABILITY": capability}
    return json.loads(subprocess.check_output([sys.executable, "-W", "ignore", "-c", program], env=environment))

(one, plain), (other, vector) = edges("default"), edges("avx2")
if (one, other) != ("DEFAULT", "AVX2"):
    print(f"nothing to see on this processor: torch took {one} and {other}, not DEFAULT and AVX2")
    sys.exit(0)
differ = {i: (plain[i], vector[i]) for i in range(16) if plain[i] != vector[i]}
print(differ)
assert list(differ) == [12], "the behaviour has changed"
PY
