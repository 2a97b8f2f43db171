"""What the doctor prints and writes agrees with the logits that it writes."""

import json

import numpy as np
import pytest
from planted_models import both

from nlp_mixup import cli
from nlp_mixup.calibration import expected_calibration_error, fit_temperature, softmax


def test_what_is_printed_and_written(planted, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    cli.main(["evaluate", str(planted / "over"), *map(str, both(planted)), "--output_dir", str(out)])
    printed = capsys.readouterr().out
    files = {"evaluation.json", "evaluation.md", "reliability.png", "logits-validation.npz", "logits-test.npz"}
    assert {path.name for path in out.iterdir()} == files
    record = json.loads((out / "evaluation.json").read_text())
    stored = np.load(out / "logits-test.npz")
    probs = softmax(stored["logits"])
    raw, after = record["rows"]
    assert raw["ece"] == pytest.approx(expected_calibration_error(probs, stored["labels"]))
    assert raw["accuracy"] == pytest.approx((probs.argmax(1) == stored["labels"]).mean())
    fit = np.load(out / "logits-validation.npz")
    temperature = fit_temperature(fit["logits"], fit["labels"]).value
    scaled = softmax(stored["logits"] / temperature)
    assert record["temperature"]["value"] == after["temperature"] == pytest.approx(temperature)
    assert after["ece"] == pytest.approx(expected_calibration_error(scaled, stored["labels"]))

    gap = record["intervals"]["raw"]["gap"]
    assert gap[0] == pytest.approx(raw["confidence"] - raw["accuracy"])
    claim = f"Over-confident by {gap[0]:.3f} ({gap[1]:.3f} to {gap[2]:.3f}): it claims".replace("0.", ".")
    assert claim in printed
    assert f"it claims {raw['confidence']:.0%} and is right {raw['accuracy']:.0%}." in printed.replace("\n", " ")
    assert max(map(len, printed.splitlines())) <= 120
    for text in (claim, "| ECE |", "![Reliability diagrams](reliability.png)"):
        assert text in (out / "evaluation.md").read_text()
    assert (out / "reliability.png").stat().st_size > 10_000
