"""What `nlp-mixup compare` adds to the trainings it consists of.

    python benchmarks/compare_overhead.py [--recipe mr-text-cnn] [--arms no_mixup mixup-0.2] [--field value ...]

Runs the comparison in this process and prints its wall time after the imports, the sum of its `Trainer.train` calls, and
the ratio of the two. What lies between: reading and tokenising the data, building models, predicting on all splits and
out-of-distribution sets, scoring, and the report.
"""

import argparse
import tempfile
import time

import sklearn.metrics  # noqa: F401

from nlp_mixup import cli, reports, runs
from nlp_mixup.runs import run
from nlp_mixup.training import MixupTrainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="mr-text-cnn")
    parser.add_argument("--arms", nargs="+", default=["no_mixup", "mixup-0.2"])
    options, overrides = parser.parse_known_args()
    seconds: dict[str, float] = {}

    def timed(name, function):
        def call(*args, **kwargs):
            began = time.monotonic()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[name] = seconds.get(name, 0) + time.monotonic() - began

        return call

    MixupTrainer.train = timed("train", MixupTrainer.train)
    MixupTrainer.predict = timed("predict", MixupTrainer.predict)
    runs.prepare = timed("prepare the data", runs.prepare)
    run.score_run = timed("score", run.score_run)
    reports.write_report = timed("report", reports.write_report)
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["compare", options.recipe, "--arms", *options.arms, "--output_dir", folder, *overrides]
        began = time.monotonic()
        cli.main([*arguments, "--disable_tqdm", "true"])
        wall = time.monotonic() - began
    print(f"\ncompare: {wall:.1f} s, its trainings: {seconds['train']:.1f} s, ratio {wall / seconds['train']:.3f}")
    print(", ".join(f"{name} {value:.1f} s" for name, value in seconds.items() if name != "train"))


if __name__ == "__main__":
    main()
