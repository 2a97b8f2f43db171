"""Kills `nlp-mixup compare` at random moments until it is through, and compares results.csv with an undisturbed run's.

    python benchmarks/interrupted_compare.py [--kills 20] [--seed 0]

Each time the command is started anew in the same folder and killed with SIGKILL after a random part of the time that the
undisturbed comparison took; after the last kill it is left to end. A start that ends before its moment is no kill. The data are generated. Prints, for every kill, what
had been finished by then, and at the end whether the bytes are the same.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RECIPE = """
train_file: train.csv
validation_file: validation.csv
test_file: test.csv
num_train_epochs: 4
per_device_train_batch_size: 16
learning_rate: 1e-3
mixup_alpha: 0.4
load_best_model_at_end: true
metric_for_best_model: accuracy
disable_tqdm: true
seeds: [0, 1]
arms:
  no_mixup: {mixup_alpha: 0}
  mixup: {}
  label_smoothing: {mixup_alpha: 0, label_smoothing_factor: 0.1}
"""


def write_rows(path: Path, n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    lines = ["text,label"]
    for _ in range(n):
        label = random.integers(2)
        words = [f"{'ab'[label]}{i}" for i in random.integers(0, 50, 3)] + [
            f"w{i}" for i in random.integers(0, 300, 12)
        ]
        random.shuffle(words)
        lines.append(f"{' '.join(words)},{label if random.random() < 0.8 else random.integers(2)}")
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split, n, seed in (("train", 500, 0), ("validation", 300, 1), ("test", 300, 2)):
            write_rows(folder / f"{split}.csv", n, seed)
        (folder / "recipe.yaml").write_text(RECIPE)
        environment = {**os.environ, "HF_DATASETS_CACHE": str(folder / "cache")}

        def start(output_dir: str) -> subprocess.Popen:
            command = [sys.executable, "-m", "nlp_mixup", "compare", "recipe.yaml", "--output_dir", output_dir]
            return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)

        began = time.monotonic()
        if start("whole").wait() != 0:
            sys.exit("the undisturbed comparison failed")
        whole = time.monotonic() - began
        expected = (folder / "whole" / "results.csv").read_bytes()
        print(f"undisturbed: {whole:.1f} s, {len(expected)} bytes")
        kill = 0
        while kill < options.kills:
            process = start("cut")
            moment = random.uniform(0.1, 0.9) * whole
            try:
                process.wait(timeout=moment)
                end = "had ended by itself"
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kill += 1
                end = f"killed after {moment:.1f} s"
            done = len(list(folder.glob("cut/*/*/metrics.json")))
            print(f"{kill:2}: {end}; {done} of 6 runs finished", flush=True)
            if done == 6:  # begin again, so that every kill interrupts something
                same = (start("cut").wait(), (folder / "cut" / "results.csv").read_bytes() == expected)
                print(f"    through: exit status {same[0]}, results.csv {'the same' if same[1] else 'DIFFERS'}")
                if not same[1]:
                    sys.exit(1)
                for path in sorted((folder / "cut").rglob("*"), reverse=True):
                    path.unlink() if path.is_file() else path.rmdir()
        start("cut").wait()
        same = (folder / "cut" / "results.csv").read_bytes() == expected
        print(f"after {options.kills} kills results.csv is {'the same, byte for byte' if same else 'DIFFERENT'}")
        sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
