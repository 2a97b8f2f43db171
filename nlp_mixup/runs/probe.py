"""Whether what was written to be published is the model that was trained: its logits on a few rows, against stored ones.

A run stores the model inputs of 32 validation rows beside their logits, computed as a file of the weights gives them: in the
weights' own precision, without autocast. They stay in the run's folder and are never uploaded.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from nlp_mixup.arguments import DataArguments, ModelArguments
from nlp_mixup.files import write_npz
from nlp_mixup.models import plain_logits
from nlp_mixup.recipe import load_recipe, parse_arguments
from nlp_mixup.runs.prepared import Prepared, prepare

FILE = "probe.npz"  # in a run's folder
_ANOTHER = "What would be published is not the model that was trained"
ROWS = 32
CHUNK = 8  # rows of a forward pass
_INPUT = "input-"  # before the names of the model's inputs in the file


@dataclass(frozen=True)
class Probe:
    """Rows by which a model is known.

    Attributes:
        inputs: the model's inputs, one tensor of n rows each.
        logits: (n, k) of the model that was trained.
        dtype: the precision that they were computed in, such as ``float32``.
        rows: what they are, such as ``validation rows``.
    """

    inputs: dict[str, Tensor]
    logits: NDArray[Any]
    dtype: str
    rows: str = "validation rows"


def probe_of(model: PreTrainedModel, inputs: Mapping[str, Any], rows: str = "validation rows") -> Probe:
    """The rows of a batch with this model's logits.

    Args:
        model: a classifier, in one process.
        inputs: a batch without labels; what is no tensor of its rows is left out.
        rows: what they are.
    """
    tensors = {name: value.detach().cpu() for name, value in inputs.items() if isinstance(value, Tensor)}
    coarsest = max(
        (p.dtype for p in model.parameters() if p.is_floating_point()), key=lambda dtype: torch.finfo(dtype).eps
    )
    return Probe(tensors, _logits(model, tensors), str(coarsest).removeprefix("torch."), rows)


def chosen_rows(n: int) -> list[int]:
    """The numbers of at most 32 of n rows, evenly from the first to the last.

    >>> chosen_rows(3), chosen_rows(311)[:3], chosen_rows(311)[-1]
    ([0, 1, 2], [0, 10, 20], 310)
    """
    return np.linspace(0, n - 1, min(n, ROWS)).round().astype(int).tolist()


def write_probe(folder: Path, probe: Probe) -> None:
    """Stores the rows in a run's folder, without pickles."""
    inputs = {f"{_INPUT}{name}": value.numpy() for name, value in probe.inputs.items()}
    write_npz(folder / FILE, **inputs, logits=probe.logits, dtype=np.array(probe.dtype), rows=np.array(probe.rows))


def read_probe(folder: Path) -> Probe | None:
    """The rows that a run stored; None where it is older than that.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with np.load(path) as stored:
            inputs = {name.removeprefix(_INPUT): torch.from_numpy(stored[name]) for name in stored if _INPUT in name}
            return Probe(inputs, stored["logits"], str(stored["dtype"]), str(stored["rows"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} cannot be read ({error}). Copy it once more from where it is whole, or delete it."
        ) from error


def check_same_model(model: PreTrainedModel, probe: Probe, temperature: float = 1.0) -> str:
    """Compares a model's logits with stored ones, which may differ by what their precision rounds and no more.

    They agree if the largest difference is at most sqrt(eps) of the largest logit, eps being the spacing of the precision
    at 1: half of its digits. In float32 that is 3.5e-4. Between processors, batches and merged or unmerged adapters the logits
    of 125 architectures differ by less than 1e-5; weights rounded to bfloat16 change them by about 4e-3.

    Args:
        model: as it was loaded from what is to be published.
        probe: rows with the logits that were trained.
        temperature: that the model's last layer was divided by.

    Returns:
        A sentence that tells the largest difference.

    Raises:
        ValueError: it is another model; the message says how far off.
    """
    wanted = probe.logits.astype(np.float64) / temperature
    found = _logits(model, probe.inputs).astype(np.float64)
    rows = f"{len(wanted)} {probe.rows}"
    if found.shape != wanted.shape:
        raise ValueError(
            f"{_ANOTHER}: it gives logits of shape {found.shape} for {rows}, and gave {wanted.shape} in training."
        )
    error = float(np.abs(found - wanted).max())
    allowed = float(np.sqrt(torch.finfo(getattr(torch, probe.dtype)).eps) * np.abs(wanted).max())
    if not error <= allowed:  # not a number is no agreement
        changed = int((found.argmax(1) != wanted.argmax(1)).sum())
        raise ValueError(
            f"{_ANOTHER}: on {rows} its logits are off by up to {error:.2g}, where the rounding of {probe.dtype} allows "
            f"{allowed:.1g}, and {changed} of {len(wanted)} answers change."
        )
    return (
        f"Loaded from its files, the model gives {rows} the logits that it had in training"
        f"{', divided by T,' if temperature != 1 else ''} to within {error:.1e} (allowed {allowed:.1e})."
    )


def _logits(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> NDArray[Any]:
    n = max(len(value) for value in inputs.values())
    kind = next(p.dtype for p in model.parameters() if p.is_floating_point())
    batches = []
    for start in range(0, n, CHUNK):
        batch = {name: value[start : start + CHUNK] for name, value in inputs.items()}
        batch = {name: value.to(kind) if value.is_floating_point() else value for name, value in batch.items()}
        logits = plain_logits(model, batch).detach().cpu()
        batches.append(logits.to(torch.promote_types(logits.dtype, torch.float32)))
    return torch.cat(batches).numpy()


def read_rows_again(folder: Path, logits: np.ndarray) -> Probe:
    """The rows of a run that stored no probe, from where its settings say that they lie, with the logits that it stored.

    Args:
        folder: the run's folder.
        logits: (n, k) of all validation rows.

    Raises:
        OSError: the data or the tokenizer are not there.
        ValueError: they are not those of the run, or cannot be read.
    """
    recipe = load_recipe(str(folder / "arguments.yaml"))
    settings = {**recipe.settings, **recipe.arms.get(recipe.default_arm(), {})}
    reading = {field.name for kind in (DataArguments, ModelArguments) for field in fields(kind)} - {"ood_files"}
    kept = {name: value for name, value in settings.items() if name in reading} | {"noise_samples": 0, "use_cpu": True}
    recipe = replace(recipe, settings=kept, arms={})
    arguments = parse_arguments(recipe, recipe.default_arm(), [])
    prepared = prepare(arguments)
    n = len(prepared.splits["validation"])
    stored = json.loads((folder / "metrics.json").read_text(encoding="utf-8")).get("digests", {}).get("validation")
    if n != len(logits) or (stored and stored != prepared.digests.get("validation")):
        raise ValueError("they have changed since")
    rows = chosen_rows(n)
    return Probe(model_inputs(prepared, rows), logits[rows], precision_of(settings))


def model_inputs(prepared: Prepared, rows: list[int]) -> dict[str, Any]:
    """Validation rows as one batch, padded as in training, without labels."""
    split = prepared.splits["validation"]
    batch = prepared.data_collator([split[row] for row in rows])
    return {name: value for name, value in batch.items() if name not in ("label", "labels")}


def precision_of(settings: dict[str, Any]) -> str:
    """What the logits of a run were rounded to while it predicted."""
    return "bfloat16" if settings.get("bf16") else "float16" if settings.get("fp16") else "float32"
