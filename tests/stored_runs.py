"""Finished runs without training: planted logits, written as a run writes them."""

import copy
import json

import numpy as np
import yaml

from nlp_mixup.calibration import softmax
from nlp_mixup.files import write_npz
from nlp_mixup.runs.scoring import score_run
from nlp_mixup.runs.stored import write_run


def planted(seed, *, sharpness, n=200, k=3, labels_seed=7):
    """Logits of a model whose confidence is off by a known temperature: labels follow softmax(z), logits are sharpness * z.

    Labels depend on `labels_seed` alone, so that runs with other seeds or sharpness score the same rows.
    """
    random = np.random.default_rng(labels_seed)
    splits = {}
    for split in ("validation", "test"):
        z = 1.5 * random.normal(size=(n, k))
        labels = np.array([random.choice(k, p=p) for p in softmax(z)])
        noise = 0.05 * np.random.default_rng([seed, len(split)]).normal(size=z.shape)
        splits[split] = ((sharpness * (z + noise)).astype(np.float32), labels)
    return splits


def store_run(output_dir, arm, seed, splits, *, settings=None, selection="last epoch", ood=None, epoch=3.0):
    """OUT/<arm>/seed-<s> as `nlp_mixup.runs.run.Run` leaves it."""
    folder = output_dir / arm / f"seed-{seed}"
    k = splits["test"][0].shape[1]
    if ood is None:
        ood = {"noise": 0.5 * np.random.default_rng(seed).normal(size=(50, k)).astype(np.float32)}
    scored = scored_once(splits, ood, (settings or {}).get("n_bins", 15))
    folder.mkdir(parents=True)
    (folder / "arguments.yaml").write_text(yaml.safe_dump({"seed": seed, **(settings or {}), "arms": {arm: {}}}))
    confidence = softmax(splits["validation"][0]).max(1)
    correct = splits["validation"][0].argmax(1) == splits["validation"][1]
    write_npz(folder / "epochs.npz", confidence=np.stack([confidence] * 3), correct=np.stack([correct] * 3))
    row = next(r for r in scored.metrics["rows"] if (r["split"], r["calibration"]) == ("validation", "raw"))
    kept = {name: row[name] for name in ("accuracy", "confidence", "nll", "ece", "oe", "gap")}
    records = [{"epoch": epoch, "step": 10 * epoch, **kept} for epoch in (1, 2, 3)]
    (folder / "history.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    metrics = scored.metrics | {"label_names": [f"class {i}" for i in range(k)], "train_runtime": 1.0}
    write_run(
        folder,
        {"arm": arm, "seed": seed, "selection": selection, "epoch": epoch},
        splits,
        ood,
        scored.resamples,
        scored.confidence,
        metrics,
    )
    return folder


_KNOWN = {}


def scored_once(splits, ood, n_bins):
    """`score_run`, once for the same predictions: tests store the same runs again and again."""
    arrays = [array for pair in splits.values() for array in pair] + list(ood.values())
    key = (n_bins, *ood, *splits, *(array.tobytes() for array in arrays))
    if key not in _KNOWN:
        _KNOWN[key] = score_run(splits, ood, n_bins=n_bins)
    return copy.deepcopy(_KNOWN[key])
