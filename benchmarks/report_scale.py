"""Time and peak memory of `nlp-mixup report` over 100 runs of 10,000 rows x 150 classes.

    python benchmarks/report_scale.py [--arms 20] [--seeds 5] [--rows 10000] [--classes 150]

One run's predictions are made up and scored as a run's end does, and stored under every arm and seed: what a report costs
depends on sizes, not on values. Prints what scoring one run took, and the report's seconds and MiB.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml

from nlp_mixup.calibration import softmax
from nlp_mixup.files import write_npz
from nlp_mixup.runs import score_run, write_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=150)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    splits = {}
    for split in ("validation", "test"):
        z = 2 * random.normal(size=(options.rows, options.classes))
        labels = (softmax(z).cumsum(1) > random.random((options.rows, 1))).argmax(1)
        splits[split] = ((1.5 * z).astype(np.float32), labels)
    ood = {name: random.normal(size=(1000, options.classes)).astype(np.float32) for name in ("oos", "noise")}
    began = time.monotonic()
    scored = score_run(splits, ood, n_bins=15)
    print(f"scoring one run at its end: {time.monotonic() - began:.1f} s")
    confidence = np.stack([scored.confidence["validation-raw"]] * 10).astype(np.float32)
    correct = np.stack([scored.confidence["validation-correct"]] * 10)
    metrics = {**scored.metrics, "label_names": [str(i) for i in range(options.classes)], "train_runtime": 1.0}

    with tempfile.TemporaryDirectory() as name:
        first = Path(name) / "no_mixup" / "seed-0"
        named = {"arm": "no_mixup", "seed": 0, "selection": "last epoch"}
        write_run(first, named, splits, ood, scored.resamples, scored.confidence, metrics)
        write_npz(first / "epochs.npz", confidence=confidence, correct=correct)
        record = {"gap": 0.1, "ece": 0.1, "step": 1}
        (first / "history.jsonl").write_text("".join(json.dumps(record | {"epoch": e}) + "\n" for e in range(1, 11)))
        stored = json.loads((first / "metrics.json").read_text())
        for arm in range(options.arms):
            for seed in range(options.seeds):
                arm_name, alpha = ("no_mixup", 0) if arm == 0 else (f"mixup-{arm / 10}", arm / 10)
                folder = Path(name) / arm_name / f"seed-{seed}"
                if folder != first:
                    shutil.copytree(first, folder)
                rows = [row | {"arm": arm_name, "seed": seed} for row in stored["rows"]]
                (folder / "metrics.json").write_text(
                    json.dumps({**stored, "arm": arm_name, "seed": seed, "rows": rows})
                )
                (folder / "arguments.yaml").write_text(yaml.safe_dump({"mixup_alpha": alpha, "seed": seed}))
        bytes_a_run = sum(path.stat().st_size for path in first.iterdir()) / 2**20
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "nlp_mixup", "report", name], check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        page = (Path(name) / "report.html").stat().st_size / 2**20
    print(
        f"report over {options.arms * options.seeds} runs of {options.rows:,} x {options.classes}: {seconds:.1f} s, "
        f"peak {peak:.0f} MiB; a run's folder: {bytes_a_run:.1f} MiB; report.html: {page:.1f} MiB"
    )


if __name__ == "__main__":
    main()
