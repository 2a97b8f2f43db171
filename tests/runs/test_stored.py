"""A run's folder: read back as it was written, and no run where a file is gone or damaged."""

import numpy as np
import pytest
from stored_runs import planted, store_run

from nlp_mixup.runs.stored import BrokenRun, read_run


@pytest.fixture
def folder(tmp_path):
    """Two arms with two seeds each, of planted logits."""
    for arm, alpha in (("no_mixup", 0), ("mixup", 0.4)):
        for seed in (0, 1):
            settings = {"mixup_alpha": alpha, "seed": seed, "dataset_name": "somewhere", "learning_rate": 1e-3}
            store_run(tmp_path, arm, seed, planted(seed, sharpness=3.0 - 5 * alpha), settings=settings)
    return tmp_path


def test_a_run_is_read_back(folder):
    run = read_run(folder / "mixup" / "seed-1")
    assert (run.arm, run.seed, run.last_split) == ("mixup", 1, "test")
    assert run.row("test", "raw")["n"] == 200
    assert run.row("test", "temperature")["temperature"] != 1
    np.testing.assert_array_equal(run.arrays("logits-test.npz")["labels"], planted(1, sharpness=1.0)["test"][1])


@pytest.mark.parametrize("damage", ["metrics.json", "arguments.yaml", "resamples.npz", "logits-ood-noise.npz"])
def test_whatever_file_is_gone_the_run_does_not_count(folder, damage):
    run = folder / "mixup" / "seed-0"
    (run / damage).unlink()
    with pytest.raises((BrokenRun, FileNotFoundError)):
        read_run(run)


def test_a_damaged_byte_inside_is_found(folder):
    path = folder / "mixup" / "seed-0" / "confidence.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(BrokenRun, match=r"confidence\.npz is damaged"):
        read_run(path.parent)
