"""The model card of a released classifier: how it was trained, and what was measured, from a run's stored numbers.

Everything that a user or a data set named (labels, files, repositories) is free text: `inert` makes it plain to Markdown
and HTML, `plain` to YAML.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from numpy.typing import NDArray
from scipy.stats import binomtest

from nlp_mixup.advice import run_standing
from nlp_mixup.arguments import DataArguments, MixupTrainingArguments, ModelArguments, row_sources
from nlp_mixup.calibration import decision_line, reliability_table, softmax, top_label
from nlp_mixup.calibration.decision import least_rows
from nlp_mixup.figures import reliability_figure
from nlp_mixup.runs import BUILT_IN, RunRecord, installed_versions, is_hub_id

TEMPLATE = Path(__file__).with_suffix(".md")
EDGES = "equal width, closed on the right (lo, hi]; a confidence of exactly 0 is in the first"
ERROR_TARGETS = (0.01, 0.02, 0.05, 0.10)
# Score -> how the card calls it; of the bin scores, model-index names the bins.
SCORES = {
    "accuracy": "accuracy (higher is better)",
    "nll": "negative log-likelihood (lower)",
    "brier": "Brier score (lower)",
    "ece": "ECE, expected calibration error (lower)",
    "ece_floor": "ECE that a perfectly calibrated model would show here",
    "oe": "OE, over-confidence error (lower)",
    "mce": "MCE, the worst bin (lower)",
    "confidence": "mean confidence",
    "gap": "gap: mean confidence − accuracy (0 is best)",
}
INDEXED = {
    "accuracy": ("accuracy", "Accuracy"),
    "nll": ("nll", "Negative log-likelihood"),
    "brier": ("brier_score", "Brier score"),
    "ece": ("ece", "Expected calibration error"),
    "oe": ("oe", "Over-confidence error"),
}
BINNED = ("ece", "oe")
SHOWN_SETTINGS = (
    *("mixup_level", "mixup_layer", "mixup_pixels", "mixup_lambda_per", "mixup_carrier", "mixup_mode"),
    "mixup_probability",
    *("mixup_off_epoch", "mixup_clean_weight", "confidence_penalty", "label_smoothing_factor", "num_train_epochs"),
    *("max_steps", "learning_rate", "lr_scheduler_type", "lr_milestones", "lr_milestone_factor", "warmup_steps"),
    *("optim", "optim_args", "weight_decay", "per_device_train_batch_size", "gradient_accumulation_steps", "lora_rank"),
    *("bf16", "fp16", "text_pair_column", "max_length", "image_size", "image_augment", "label_noise", "ood_classes"),
    *("max_train_samples", "seed"),
)
ALWAYS_SHOWN = ("num_train_epochs", "learning_rate", "per_device_train_batch_size", "seed")
MIXUP = (
    "Thulasidasan, Chennupati, Bilmes, Bhattacharya and Michalak (2019). On Mixup Training: Improved Calibration and "
    "Predictive Uncertainty for Deep Neural Networks. [arXiv:1905.11001](https://arxiv.org/abs/1905.11001)"
)
TEMPERATURE_SCALING = (
    "Guo, Pleiss, Sun and Weinberger (2017). On Calibration of Modern Neural Networks. "
    "[arXiv:1706.04599](https://arxiv.org/abs/1706.04599)"
)
# Signs that Markdown or HTML may read as more than themselves. Colons before a blank, underscores between letters and
# single dashes behind something do nothing.
MEANINGFUL = r"[!-$&'*;<>@\[-^`{-~]|:(?! )|^-|-(?=-)|(?<=-)-|(?<![^\W_])_|_(?![^\W_])"
CUTMIX = (
    "Yun, Han, Oh, Chun, Choe and Yoo (2019). CutMix: Regularization Strategy to Train Strong Classifiers with Localizable "
    "Features. [arXiv:1905.04899](https://arxiv.org/abs/1905.04899)"
)
# Architectures that transformers lacks, and who described them.
ARCHITECTURES = {
    "TextCNNForSequenceClassification": (
        "Kim (2014). Convolutional Neural Networks for Sentence Classification. "
        "[arXiv:1408.5882](https://arxiv.org/abs/1408.5882)"
    ),
    "SmallImageResNetForImageClassification": (
        "He, Zhang, Ren and Sun (2016). Deep Residual Learning for Image Recognition. "
        "[arXiv:1512.03385](https://arxiv.org/abs/1512.03385)"
    ),
    "VGGForImageClassification": (
        "Simonyan and Zisserman (2015). Very Deep Convolutional Networks for Large-Scale Image Recognition. "
        "[arXiv:1409.1556](https://arxiv.org/abs/1409.1556)"
    ),
}


@dataclass(frozen=True)
class Released:
    """What the card must know of the model beside its run.

    Args:
        repo_id: ``owner/name`` on the Hub.
        task: the pipeline's, such as ``text-classification``.
        architecture: class of the model.
        n_parameters: number of weights.
        folded: whether the weights hold the temperature.
        folding_note: what was folded and how exactly, or why nothing was, in plain words.
        base_model: id on the Hub of the model that was fine-tuned.
        remote_code: the file of code that the repository carries, for an architecture that transformers lacks.
        code_module: the module of nlp_mixup that this file is, where it is one.
        revision: the branch that is pushed to, where it is not main.
        language: of the texts.
        license: of the weights.
        tags: more tags.
        dataset: id on the Hub of the data set, where the run's settings do not name it.
        dataset_name: its name, where it is not on the Hub.
        max_length: the limit in tokens that is saved with the tokenizer, where there is one.
    """

    repo_id: str
    task: str
    architecture: str
    n_parameters: int
    folded: bool
    folding_note: str
    base_model: str | None = None
    remote_code: str | None = None
    code_module: str | None = None
    revision: str | None = None
    language: str | None = None
    license: str | None = None
    tags: tuple[str, ...] = ()
    dataset: str | None = None
    dataset_name: str | None = None
    max_length: int | None = None

    @property
    def calibration(self) -> str:
        return "temperature" if self.folded else "raw"


@dataclass(frozen=True)
class Decision:
    """A rule "accept predictions with a score of at least the threshold", and what it does on the scored rows.

    Args:
        target: the error rate that the rule was to keep.
        threshold: the least score, of `decision_line`, or None where no threshold keeps the target.
        accepted: rows accepted.
        wrong: wrong ones among them.
        n: rows scored.
    """

    target: float
    threshold: float | None
    accepted: int
    wrong: int
    n: int

    def error_interval(self) -> tuple[float, float]:
        """The 95 % interval of the error rate among accepted rows (Clopper & Pearson 1934)."""
        interval = binomtest(self.wrong, self.accepted).proportion_ci(method="exact")
        return float(interval.low), float(interval.high)


def model_card(record: RunRecord, released: Released) -> ModelCard:
    """The card, front matter and text, of a released run.

    Args:
        record: the run's numbers and settings.
        released: what is released.
    """
    split, calibration = record.split or "", released.calibration
    name = released.repo_id.split("/")[-1]
    row = record.row(split, calibration)
    source = data_source(record, released)
    arguments = [", truncation=True" if released.max_length else ""]
    arguments.append(", trust_remote_code=True" if released.remote_code else "")
    if released.revision:
        arguments.append(f', revision="{released.revision}"')
    decisions = decisions_of(record, calibration)
    card = ModelCard.from_template(
        _card_data(record, released, row),
        template_path=str(TEMPLATE),
        title=inert(name),
        summary=_summary(record, released, source),
        task=released.task,
        repo_id=released.repo_id,
        pipeline_arguments="".join(arguments),
        example_input=_example_input(record, released),
        probabilities=_probabilities(released, row),
        remote_code=released.remote_code,
        code_module=released.code_module,
        scores=_score_table(record, split, calibration) if row else "",
        scores_caption=_scores_caption(record, released, row) if row else "",
        scores_notes=_verdicts(record, split) if row else "",
        folding=inert(released.folding_note, limit=2000),
        decisions=_decision_table(decisions),
        decisions_caption=_decisions_caption(record, decisions),
        ood=_ood_table(record, calibration),
        ood_caption=_ood_caption(record, released, row),
        training=_training(record, released, source),
        labels=_labels(record),
        limits=_limits(record, released),
        references="\n".join(
            f"- {line}"
            for line in (
                MIXUP,
                *([CUTMIX] if _is_cutmix(record) else []),
                *([TEMPERATURE_SCALING] if released.folded else []),
                *([ARCHITECTURES[released.architecture]] if released.architecture in ARCHITECTURES else []),
            )
        ),
    )
    card.text = re.sub(r"\n{3,}", "\n\n", card.text).rstrip() + "\n"
    return card


def reliability_png(record: RunRecord, *, folded: bool) -> bytes | None:
    """The reliability diagram of the card's split as a PNG, before and after the temperature where one is folded in."""
    if record.split is None:
        return None
    logits, labels = record.logits[record.split]
    n_bins = record.metrics["rows"][0]["n_bins"]
    tables = {f"{record.split} rows": reliability_table(softmax(logits), labels, n_bins=n_bins)}
    if folded and record.temperature is not None:
        scaled = softmax(record.temperature.apply(logits.astype(np.float64)))
        tables = {
            "before temperature": next(iter(tables.values())),
            "as released": reliability_table(scaled, labels, n_bins=n_bins),
        }
    image = io.BytesIO()
    reliability_figure(tables).savefig(image, format="png", dpi=120)
    return image.getvalue()


def decisions_of(record: RunRecord, calibration: str) -> list[Decision]:
    """For each target error: the threshold chosen on validation, and what it does on test.

    Where one of the two splits is missing, the same rows choose and score.
    """
    if record.split is None:
        return []
    scored, chosen = record.logits[record.split], record.logits.get("validation", record.logits[record.split])
    divisor = record.temperature.value if calibration == "temperature" and record.temperature else 1.0
    choice = softmax(chosen[0].astype(np.float64) / divisor)
    lines = {target: decision_line(choice, chosen[1], max_risk=target) for target in ERROR_TARGETS}
    scores = softmax(scored[0].astype(np.float64) / divisor)
    return [decide(scores, scored[1], target, line and line.threshold) for target, line in lines.items()]


def decide(probs: NDArray[Any], labels: NDArray[Any], target: float, threshold: float | None) -> Decision:
    """What accepting the rows with a confidence of at least ``threshold`` does."""
    confidence, correct = top_label(probs, labels, validate=False)
    if threshold is None:
        return Decision(target, None, 0, 0, len(confidence))
    accepted = confidence >= threshold
    return Decision(target, threshold, int(accepted.sum()), int((accepted & ~correct).sum()), len(confidence))


def plain(text: Any, limit: int = 120) -> str:
    """Free text on one line without invisible characters, as front matter may hold it.

    Example:
        >>> print(plain("a\\n---\\nb\\u202e!"))
        a --- b[U+202E]!
    """
    spelled = []
    for character in re.sub(r"\s+", " ", str(text)).strip():
        category = unicodedata.category(character)
        is_hidden = category.startswith("C") or category in ("Zl", "Zp")
        spelled.append(f"[U+{ord(character):04X}]" if is_hidden else character)
    line = "".join(spelled)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def inert(text: Any, limit: int = 120) -> str:
    """Free text that Markdown and HTML show as it is: every sign that could mean something becomes an entity.

    Example:
        >>> print(inert("<img onerror=x> | *a* plain-name_2 (1.5 %)"))
        &#60;img onerror=x&#62; &#124; &#42;a&#42; plain-name_2 (1.5 %)
    """
    line = plain(text, limit)
    escaped = re.sub(MEANINGFUL, lambda sign: f"&#{ord(sign.group())};", line)
    return re.sub(r"(?i)www\.", "www&#46;", escaped)


def data_source(record: RunRecord, released: Released, split: str = "train") -> dict[str, str | None]:
    """What the rows of a split are called: a file's name; or the data set's and, of one on the Hub, its id and version."""
    given = released.dataset or released.dataset_name
    if given is not None:
        hub_id = given if released.dataset and is_hub_id(given) else None
        return {"name": given, "id": hub_id, "config": None, "revision": None}
    setting, name = row_sources(record.settings).get(split, ("", None))
    is_set = setting == "dataset_name"
    return {
        "name": name,
        "id": record.hub_id(setting) if is_set else None,
        "config": record.settings.get("dataset_config_name") if is_set else None,
        "revision": record.settings.get("dataset_revision") if is_set else None,
    }


def _no_hub_id(name: str | None) -> str:
    """A name for front matter that wants an id, which nothing on the Hub can have: two dashes are forbidden there.

    >>> _no_hub_id("my data.csv")
    'local--my-data.csv'
    """
    return "local--" + re.sub(r"[^\w.-]+", "-", plain(name or "unnamed"))


def _card_data(record: RunRecord, released: Released, row: Mapping[str, Any] | None) -> ModelCardData:
    trained_on = data_source(record, released)
    results = []
    if row is not None:
        source = data_source(record, released, row["split"])
        for score, (metric, name) in INDEXED.items():
            bins = {"n_bins": row["n_bins"], "bin_edges": EDGES} if score in BINNED else None
            results.append(
                EvalResult(
                    task_type=released.task,
                    dataset_type=source["id"] or _no_hub_id(source["name"]),
                    dataset_name=plain(source["name"] or "unnamed data"),
                    dataset_config=None if source["config"] is None else plain(source["config"]),
                    dataset_split=row["split"],
                    dataset_revision=None if source["revision"] is None else plain(source["revision"]),
                    metric_type=metric,
                    metric_name=f"{name} ({row['n_bins']} bins)" if bins else name,
                    metric_value=round(float(row[score]), 6),
                    metric_args=bins,
                )
            )
    tags = [
        "nlp-mixup",
        "calibration",
        *(["mixup"] if _alpha(record) > 0 else []),
        *(["cutmix"] if _is_cutmix(record) else []),
        *map(plain, released.tags),
    ]
    return ModelCardData(
        base_model=released.base_model,
        datasets=[trained_on["id"]] if trained_on["id"] else None,
        language=released.language,
        library_name="transformers",
        license=released.license,
        metrics=[metric for metric, _ in INDEXED.values()] if results else None,
        model_name=released.repo_id.split("/")[-1],
        eval_results=results or None,
        pipeline_tag=released.task,
        tags=tags + (["temperature-scaling"] if released.folded else []),
    )


def _alpha(record: RunRecord) -> float:
    return float(record.settings.get("mixup_alpha") or 0.0)


def _is_cutmix(record: RunRecord) -> bool:
    return _alpha(record) > 0 and record.settings.get("mixup_pixels") == "cutmix"


def _summary(record: RunRecord, released: Released, source: Mapping[str, str | None]) -> str:
    n_classes = len(record.metrics["label_names"])
    kind = "text" if released.task == "text-classification" else "image"
    start = f", fine-tuned from {_link(released.base_model, '')}" if released.base_model else ""
    method = "CutMix" if _is_cutmix(record) else "mixup"
    mixup = f"with {method} (α = {_alpha(record):g})" if _alpha(record) > 0 else "without mixup"
    article = "An" if kind == "image" else "A"
    return (
        f"{article} {kind} classifier ({inert(released.architecture)}, {released.n_parameters:,} weights, {n_classes} classes)"
        f"{start}, trained on {_data_name(source)} {mixup} by "
        "nlp_mixup, "
        + (
            "with its fitted temperature folded into the last layer."
            if released.folded
            else "and released with its weights as trained."
        )
    )


def _example_input(record: RunRecord, released: Released) -> str:
    if released.task != "text-classification":
        return '"image.png"'
    return '{"text": "...", "text_pair": "..."}' if record.settings.get("text_pair_column") else '"..."'


def _probabilities(released: Released, row: Mapping[str, Any] | None) -> str:
    text = _meaning(released, row)
    if released.max_length is None:
        return text
    measured = ", as they were when it was measured" if row else ""
    return f"{text} Texts are cut to {released.max_length:,} tokens{measured}: that is what `truncation=True` does."


def _meaning(released: Released, row: Mapping[str, Any] | None) -> str:
    if released.folded:
        return (
            "`score` is the temperature-scaled probability: the temperature is inside the weights, and nothing has to be "
            "set. How far it can be trusted is measured below."
        )
    return "`score` is the softmax of the model's logits" + (
        ". How far it can be trusted is measured below." if row else ", whose calibration was not measured."
    )


def _link(repo_id: str | None, kind: str) -> str:
    return f"[{inert(repo_id)}](https://huggingface.co/{kind}{repo_id})"


def _data_name(source: Mapping[str, str | None]) -> str:
    if source["id"]:
        return _link(source["id"], "datasets/") + (f" ({inert(source['config'])})" if source["config"] else "")
    return inert(source["name"]) if source["name"] else "data that is not named"


def _score_table(record: RunRecord, split: str, calibration: str) -> str:
    columns = [row for row in (record.row(split, name) for name in ("raw", "temperature")) if row is not None]
    heads = []
    for row in columns:
        if row["calibration"] == calibration:
            head = "as released"
        else:
            head = "before temperature" if calibration == "temperature" else "not folded in"
        is_scaled = row["calibration"] == "temperature"
        heads.append(f"T = {row['temperature']:.3f}, {head}" if is_scaled else head)
    lines = [_cells(["score", *heads]), _cells(["---", *["---:"] * len(columns)])]
    for score, label in SCORES.items():
        lines.append(_cells([label, *(_with_interval(record, row, score) for row in columns)]))
    return "\n".join(lines)


def _with_interval(record: RunRecord, row: Mapping[str, Any], score: str) -> str:
    sign = "+" if score == "gap" else ""
    value = f"{row[score]:{sign}.3f}"
    stored = record.metrics["intervals"].get(row["split"], {}).get(row["calibration"], {}).get(score)
    if score == "ece_floor":
        return f"{value} ({row['ece_floor_low']:.3f} to {row['ece_floor_high']:.3f})"
    return value if stored is None else f"{value} ({stored[1]:{sign}.3f} to {stored[2]:{sign}.3f})"


def _scores_caption(record: RunRecord, released: Released, row: Mapping[str, Any]) -> str:
    split = row["split"]
    source = data_source(record, released, split)
    of = "" if source == data_source(record, released) else f" of {_data_name(source)}"
    held_out = "held-out" if split == "test" else "validation"
    note = "" if split == "test" else " The temperature was fitted on these same rows, so its column is optimistic."
    if redrawn := record.settings.get("label_noise"):
        note += (
            f" Of all labels, those of the scored rows among them, {100 * redrawn:g}% were redrawn at random over the classes "
            "(`label_noise`): the scores are those against such labels."
        )
    if trained_on := record.metrics.get("trained_on", {}).get(split):
        note += f" **{inert(trained_on['note'], limit=400)}**"
    return (
        f"Measured on the {row['n']:,} {held_out} rows of the split `{split}`{of}, seed {record.metrics['seed']}. In brackets: 95 % "
        f"intervals over rows, Clopper and Pearson's for accuracy. ECE, OE and MCE use {row['n_bins']} bins of the winning score, {EDGES}.{note}"
    )


def _verdicts(record: RunRecord, split: str) -> str:
    names = {"raw": "Without temperature", "temperature": "With temperature"}
    return "\n".join(
        f"- {name}: {inert(run_standing(record.metrics, split, calibration), limit=600)}"
        for calibration, name in names.items()
        if record.row(split, calibration) is not None
    )


def _decision_table(decisions: Sequence[Decision]) -> str:
    if not decisions:
        return ""
    lines = [_cells(["to keep the error at or below", "accept at or above", "rows accepted", "error among them"])]
    lines.append(_cells(["---:"] * 4))
    for decision in decisions:
        target = f"{decision.target:.0%}"
        if decision.threshold is None:
            lines.append(_cells([target, f"no threshold keeps {target}", "", ""]))
            continue
        cells = [target, str(decision.threshold), f"{decision.accepted / decision.n:.1%}"]
        if decision.accepted:
            low, high = decision.error_interval()
            cells.append(f"{decision.wrong / decision.accepted:.1%} ({low:.1%} to {high:.1%})")
        else:
            cells.append("no row to measure it on")
        lines.append(_cells(cells))
    return "\n".join(lines)


def _decisions_caption(record: RunRecord, decisions: Sequence[Decision]) -> str:
    if not decisions:
        return ""
    if record.split == "test" and "validation" in record.logits:
        where = (
            f"Each threshold was chosen on the {len(record.logits['validation'][1]):,} validation rows; share and error are those of "
            f"the {decisions[0].n:,} test rows, which it has not seen."
        )
    else:
        where = f"Thresholds were chosen and scored on the same {decisions[0].n:,} rows, so the errors are optimistic."
    needed = ", ".join(f"{least_rows(decision.target)} for {decision.target:.0%}" for decision in decisions)
    return (
        "Accept a prediction when its `score` is at least the threshold, and pass the rest to somebody else. "
        f"{where} A threshold keeps an error where the one-sided 95 % upper limit of the error (Clopper-Pearson) among the "
        f"rows it accepts is no higher; that takes so many accepted rows, none of them wrong, or more: {needed}. In "
        "brackets: 95 % intervals."
    )


def _ood_table(record: RunRecord, calibration: str) -> str:
    lines = [
        _cells(["inputs", "n", "mean confidence", "AUROC", "FPR95", "AUROC, energy", "FPR95, energy"]),
        _cells(["---", *["---:"] * 6]),
    ]
    for name, found in record.metrics["ood"].items():
        stored = found.get(calibration) or found["raw"]
        lines.append(
            _cells(
                [
                    inert(name),
                    f"{stored['n']:,}",
                    f"{stored['confidence']:.3f}",
                    *(f"{stored[score][key]:.3f}" for score in ("msp", "energy") for key in ("auroc", "fpr95")),
                ]
            )
        )
    return "\n".join(lines) if len(lines) > 2 else ""


def _ood_caption(record: RunRecord, released: Released, row: Mapping[str, Any] | None) -> str:
    familiar = f" (on its own {row['split']} rows: {row['confidence']:.3f})" if row else ""
    is_text = released.task == "text-classification"
    meanings = {
        "noise": "random tokens" if is_text else "Gaussian pixels with the training images' mean and spread",
        "uniform": "" if is_text else "pixels drawn evenly from their whole range",
        "held-out": "rows of classes that it was not trained on",
    }
    told = [f"`{name}` is {meanings[name]}" for name in record.metrics["ood"] if meanings.get(name)]
    return (
        "How sure the released model is of inputs that belong to none of its classes"
        f"{familiar}, and how well a score tells them from its own: the winning probability, or the energy of the logits. AUROC: "
        "1 is best, 0.5 is chance. FPR95: share of foreign inputs accepted where 95 % of its own are; 0 is best."
        + "".join(f" {sentence}." for sentence in told)
    )


def _training(record: RunRecord, released: Released, source: Mapping[str, str | None]) -> str:
    settings, metrics = record.settings, record.metrics
    method = "CutMix" if _is_cutmix(record) else "mixup"
    lines = [
        f"arm `{_code(metrics['arm'])}`, "
        + (f"{method} with λ ~ Beta({_alpha(record):g}, {_alpha(record):g})" if _alpha(record) > 0 else "no mixup"),
        f"data: {_data_name(source)}",
        f"starting point: {_starting_point(record, released)}",
    ]
    shown = []
    for name in SHOWN_SETTINGS:
        default = DEFAULTS.get(name)
        value = settings.get(name, default)
        if (value != default or name in ALWAYS_SHOWN) and not (name == "max_steps" and value == -1):
            shown.append(f"{name} {inert(value)}")
    lines.append("settings: " + ", ".join(shown))
    if metrics["rows"]:
        lines.append(f"scored weights: {inert(metrics['rows'][0]['selection'])}")
    if metrics.get("train_runtime"):
        lines.append(f"training time: {metrics['train_runtime']:,.0f} s")
    stored = metrics.get("versions")
    named = {"nlp_mixup": metrics["version"], **(stored or installed_versions())}
    when = "" if stored else " when it was released"
    lines.append(f"versions{when}: {', '.join(f'{name} {inert(version)}' for name, version in named.items())}")
    text = "\n".join(f"- {line}" for line in lines)
    if notes := metrics.get("row_notes"):
        text += f"\n\nAbout the rows: {' '.join(inert(note, limit=400) for note in notes)}"
    if not settings.keys() & {"dataset_name", "train_file"}:  # trained by a script, whose data and model are its own
        return f"{text}\n\nThe trainer's settings are in `arguments.yaml`."
    return (
        f"{text}\n\nAll other settings are in `arguments.yaml`, which is a recipe. To train it again, with the data at hand:\n\n"
        "```\nnlp-mixup train arguments.yaml --output_dir FOLDER\n```"
    )


def _starting_point(record: RunRecord, released: Released) -> str:
    settings = record.settings
    is_recipe = settings.keys() & {"dataset_name", "train_file"}  # else a script's, which had a model of its own
    name = settings.get("model_name_or_path", DEFAULTS["model_name_or_path"] if is_recipe else None)
    if released.base_model:
        return _link(released.base_model, "")
    if name in BUILT_IN["model_name_or_path"]:
        vectors = settings.get("glove_file")
        return (
            f"word vectors of {inert(vectors)}, other weights drawn at random" if vectors else "weights drawn at random"
        )
    return inert(name or "not named")


def _labels(record: RunRecord) -> str:
    rows = [_cells([str(index), inert(name)]) for index, name in enumerate(record.metrics["label_names"])]
    return "\n".join([_cells(["id", "label"]), _cells(["---:", "---"]), *rows])


def _limits(record: RunRecord, released: Released) -> str:
    kind = "texts" if released.task == "text-classification" else "images"
    lines = [
        f"Meant for {kind} like those it was trained and scored on, each of which belongs to exactly one of the classes above. "
        "It gives a class to anything, also to what belongs to none.",
        "Calibration holds on average over rows like the scored ones: not for every class, group of people, topic or source, none "
        "of which was measured here.",
        "Under other data the numbers above do not hold; measure again with labelled rows of your own: "
        f"`nlp-mixup evaluate {released.repo_id}{' --trust_remote_code' if released.remote_code else ''}`.",
        "One training run with one seed: another seed gives other numbers.",
    ]
    if released.folded:
        lines.append(
            "Training it further makes its temperature void: fit a new one on held-out rows afterwards "
            "(`config.calibration` records what was folded)."
        )
    return "\n".join(f"- {line}" for line in lines)


def _code(text: Any) -> str:
    """Free text for a code span, where entities would be shown as they are: its backticks go."""
    return plain(text).replace("`", "'").replace("|", "/").replace("<", "(").replace(">", ")")


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


DEFAULTS = {
    f.name: f.default for group in (ModelArguments, DataArguments, MixupTrainingArguments) for f in fields(group)
}
