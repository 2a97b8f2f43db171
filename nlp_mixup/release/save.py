"""What a finished run or a trainer publishes, written into a folder, loaded back and compared before it is said to be ready."""

from __future__ import annotations

import contextlib
import copy
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import transformers
from transformers import PreTrainedModel

from nlp_mixup.advice import disagreement_line, ece_is_blind, fold_words, run_disagreement
from nlp_mixup.arguments import DataArguments
from nlp_mixup.calibration.folding import FoldDecision, decide_fold
from nlp_mixup.models import check_padding, drawn_at_random, folded, limit_length, merge_adapters, probe_batch
from nlp_mixup.release.card import model_card, reliability_png
from nlp_mixup.release.loading import is_image_class, load_classifier, remote_code_of
from nlp_mixup.release.released import Released
from nlp_mixup.release.uploading import Upload, check_repo_id
from nlp_mixup.runs import Probe, RunRecord, check_same_model, interval_of, is_hub_id, probe_of, read_probe, read_record

RELEASE = "release"  # folder of a run in which lies what it publishes
MARKER = ".nlp-mixup-release"  # stays at home; without it a folder is somebody's own


def prepare_run(run_folder: Path, repo_id: str, *, revision: str | None = None, fold: str = "auto") -> Upload:
    """Writes what a finished run publishes into its folder ``release``; the rest of it stays as it is.

    Args:
        run_folder: ``OUT/<arm>/seed-<s>``.
        repo_id: ``owner/name``.
        revision: branch that will be pushed to, for the card's example.
        fold: whether the temperature goes into the weights, see `decide_fold`.

    Raises:
        FileExistsError: its folder ``release`` holds something else.
        FileNotFoundError: it is no finished run, or its weights were not kept.
        ValueError: the id is none, or the run cannot be released; the message says why.
    """
    check_repo_id(repo_id)
    record = read_record(run_folder)
    if not (run_folder / "model").is_dir():
        raise FileNotFoundError(
            f"{run_folder} has no weights: there is no folder model in it. Train the run again, elsewhere: nlp-mixup train "
            f"{run_folder / 'arguments.yaml'} --keep_models last --output_dir FOLDER"
        )
    model, processing_class = load_classifier(
        run_folder / "model",
        record.metrics["label_names"],
        trust_remote_code=bool(record.settings.get("trust_remote_code")),
    )
    if hasattr(processing_class, "model_max_length"):  # runs of earlier versions saved no limit
        limit_length(processing_class, max_length=record.settings.get("max_length", DataArguments.max_length))
    return prepare_model(
        model,
        processing_class,
        record,
        run_folder / RELEASE,
        repo_id,
        known=_run_probe(run_folder, record),
        fold=fold,
        revision=revision,
    )


def prepare_model(
    model: PreTrainedModel,
    processing_class: Any,
    record: RunRecord,
    folder: Path,
    repo_id: str,
    *,
    probe: Mapping[str, Any] | None = None,
    known: Probe | None = None,
    fold: str = "auto",
    revision: str | None = None,
    base_model: str | None = None,
    dataset: str | None = None,
    dataset_name: str | None = None,
    language: str | None = None,
    license: str | None = None,
    tags: Sequence[str] = (),
) -> Upload:
    """Writes weights with the temperature folded in, card, diagram and settings into a folder.

    The model itself is given back as it was, but for adapters, which stay merged. Its temperature is folded in only as
    `decide_fold` says, and where the layer for it is found; the card says which. What was written is loaded once more, and its
    logits are compared with the model's own before anything is said to be ready.

    Args:
        model: the classifier; a PEFT model's adapters are merged first.
        processing_class: its tokenizer or image processor, or None.
        record: what was measured.
        folder: is made, or replaced where an earlier release lies in it.
        repo_id: ``owner/name``.
        probe: a batch of inputs to verify on, where the processing class makes none.
        known: rows with the logits of the model that was trained, which what is written is compared with. Default: the
            probe, with the logits of this model as it is given.
        fold: ``auto``, ``always`` or ``never``, see `decide_fold`. A model that carries a temperature already is published as
            it is with ``never``, and refused else.
        revision: branch that will be pushed to.
        base_model: id on the Hub of the model that was fine-tuned, where the run's settings do not name it.
        dataset: id on the Hub of the data set, likewise.
        dataset_name: its name, where it is not on the Hub.
        language: of the texts, such as ``en``.
        license: of the weights, such as ``apache-2.0``.
        tags: for the card.

    Raises:
        FileExistsError: the folder holds something else.
        ValueError: the model carries a temperature already; T is always to be folded in, and there is none or no layer for it;
            or what was written is another model than the one trained.
    """
    check_replaceable(folder)
    if revision is not None and re.fullmatch(r"[\w./-]+", revision) is None:
        raise ValueError(f"--revision must be a branch's name, such as main or v1.0, got {revision!r}.")
    if known is None:
        inputs = probe_batch(model, processing_class) if probe is None else probe
        known = probe_of(model, inputs, "probe rows" if probe is None else "held-out rows")
    model = merge_adapters(model)
    if getattr(model.config, "calibration", None) and fold != "never":
        raise ValueError(
            f"{type(model).__name__} carries a temperature already (config.calibration), and a second is never folded in. Push the "
            "weights from before folding; or, to publish these as they are, type --fold never (fold='never')."
        )
    decision = decide_fold(record.temperature, record.logits.get("validation"), record.logits.get("test"), fold=fold)
    architecture = type(model).__name__
    is_image = is_image_class(architecture) or model.main_input_name == "pixel_values"
    auto_class = "AutoModelForImageClassification" if is_image else "AutoModelForSequenceClassification"
    code_module = type(model).__module__ if type(model).__module__.startswith("nlp_mixup.") else None
    if code_module is not None:  # save_pretrained then adds the file of the class
        type(model.config).register_for_auto_class()
        type(model).register_for_auto_class(auto_class)

    if getattr(processing_class, "padding_side", None) and getattr(processing_class, "pad_token", None) is not None:
        check_padding(model, copy.deepcopy(processing_class))  # using it leaves traces in it
    max_length = None
    if getattr(processing_class, "model_max_length", None) is not None:
        limit_length(processing_class, model.config)
        max_length = processing_class.model_max_length if processing_class.model_max_length < 10**6 else None
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    if processing_class is not None:
        processing_class.save_pretrained(partial)  # before it is used, which leaves traces in it
    with _folded_as_decided(model, processing_class, record, decision, probe) as (is_folded, note):
        model.save_pretrained(partial)
    _forget_folders(partial)
    temperature = record.temperature.value if is_folded and record.temperature else 1.0
    note = f"{note} {_compared(partial, model, known, temperature, auto_class)}"
    released = Released(
        repo_id=repo_id,
        task="image-classification" if is_image else "text-classification",
        architecture=architecture,
        n_parameters=model.num_parameters(),
        folded=is_folded,
        folding_note=note,
        base_model=_base_model(record, base_model),
        remote_code=remote_code_of(partial, auto_class),
        code_module=code_module,
        revision=revision,
        language=language,
        license=license,
        tags=tuple(tags),
        dataset=dataset,
        dataset_name=dataset_name,
        max_length=max_length,
    )
    model_card(record, released).save(partial / "README.md")
    (partial / "arguments.yaml").write_text(record.arguments_yaml(), encoding="utf-8")
    diagram = reliability_png(record, folded=is_folded)
    if diagram is not None:
        (partial / "reliability.png").write_bytes(diagram)
    files = [path.relative_to(partial) for path in partial.rglob("*") if path.is_file()]
    (partial / MARKER).touch()
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    told = [note, *(found["note"] for found in record.metrics.get("trained_on", {}).values())]
    return Upload(repo_id, "model", {path.as_posix(): folder / path for path in files}, "\n".join(told))


def _run_probe(run_folder: Path, record: RunRecord) -> Probe:
    """Rows with the logits that the run gave them: stored, or, of a run that is older than that, read and matched again."""
    stored = read_probe(run_folder)
    if stored is not None:
        return stored
    from nlp_mixup.runs import read_rows_again

    try:
        return read_rows_again(run_folder, record.logits["validation"][0])
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise ValueError(
            f"{run_folder} is a run of an earlier version, which stored no rows to compare a release with, and its validation "
            f"rows cannot be read again: {str(error).rstrip('.')}. Bring them back to where arguments.yaml says, or train "
            f"again: nlp-mixup train {run_folder / 'arguments.yaml'} --keep_models last --output_dir FOLDER"
        ) from error


def _compared(folder: Path, model: PreTrainedModel, known: Probe, temperature: float, auto_class: str) -> str:
    """Loads what was written, as those do who download it, and compares it with the model that was trained."""
    own_code = remote_code_of(folder, auto_class) is not None or type(model).__module__.startswith(
        "transformers_modules"
    )
    loader: Any = getattr(transformers, auto_class)
    written, info = loader.from_pretrained(folder, output_loading_info=True, trust_remote_code=own_code or None)
    if missing := drawn_at_random(info):
        shutil.rmtree(folder)
        raise ValueError(
            f"What was written cannot be published: {type(written).__name__}, as which it is loaded, finds no weights for "
            f"{', '.join(missing[:4])}, which would be random."
        )
    try:
        return check_same_model(written, known, temperature)
    except ValueError as error:
        shutil.rmtree(folder)
        names = [type(each).__name__ for each in (model, written)]
        as_another = f" It is loaded as {names[1]}, and was trained as {names[0]}." if names[0] != names[1] else ""
        raise ValueError(f"{error}{as_another} Nothing was uploaded.") from error


def check_replaceable(folder: Path) -> None:
    """Raises FileExistsError where a release would replace what no release left there.

    >>> check_replaceable(Path("not-there"))
    """
    if folder.is_dir() and ((folder / MARKER).is_file() or not any(folder.iterdir())):
        return
    if folder.exists():
        raise FileExistsError(
            f"{folder} holds files that are no earlier release, and a release would replace them. Move or rename it, then run "
            "the same command again."
        )


@contextlib.contextmanager
def _folded_as_decided(
    model: PreTrainedModel,
    processing_class: Any,
    record: RunRecord,
    decision: FoldDecision,
    probe: Mapping[str, Any] | None,
) -> Iterator[tuple[bool, str]]:
    """The model with its temperature folded in where that was decided, and what was done and why in a few sentences."""
    temperature = record.temperature
    why_none = str(record.metrics.get("temperature_note") or "none was fitted")
    n_test = len(record.logits["test"][1]) if "test" in record.logits else 0
    note = fold_words(decision, temperature, why_none, n_test)
    if shifted := disagreement_line(run_disagreement(record.metrics)):
        note += f" {shifted}"
    if carried := getattr(model.config, "calibration", None):
        note += f" The weights carry one already: {carried}."
    if temperature is None or not decision.folds:
        yield False, note
        return
    with contextlib.ExitStack() as stack:
        try:
            batch = probe_batch(model, processing_class) if probe is None else probe
            folding = stack.enter_context(folded(model, temperature, batch))
        except ValueError as error:
            if decision.fold == "always":
                raise
            yield False, fold_words(decision, temperature, why_none, n_test, obstacle=str(error))
            return
        cast(Any, model.config).calibration["fold"] = decision.fold
        row, split = record.row(record.split or "", "raw"), record.split or ""
        blind = ece_is_blind(row, interval_of(record, split, "gap"), split) if row else ""
        yield (
            True,
            f"{note} {blind}{' ' if blind else ''}The weight and bias of the last layer, {folding.head}, are divided by T. "
            f"Verified before saving: on {folding.n_probe} probe rows the logits are logits / T to within "
            f"{folding.max_error:.1e}. The class predicted for a row stays the same.",
        )


def _base_model(record: RunRecord, given: str | None) -> str | None:
    """The Hub's id of the model that was fine-tuned; None for a local folder or weights drawn at random."""
    if given is not None:
        return given if is_hub_id(given) and not Path(given).exists() else None
    return record.hub_id("model_name_or_path")


def _forget_folders(folder: Path) -> None:
    """Takes the local folder that a model or tokenizer was loaded from out of the saved configurations."""
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.keys() & {"name_or_path", "_name_or_path"}:
            kept = {key: value for key, value in content.items() if key not in ("name_or_path", "_name_or_path")}
            path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
