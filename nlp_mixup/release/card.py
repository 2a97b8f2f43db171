"""The model card of a released classifier: how it was trained, and what was measured, from a run's stored numbers.

`card.md` is its template; the sections with numbers are made by the modules beside this one.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import ModelCard

from nlp_mixup.calibration import reliability_table, softmax
from nlp_mixup.figures import reliability_figure
from nlp_mixup.release.decisions import decision_table, decisions_caption, decisions_of
from nlp_mixup.release.foreign_text import data_link, hub_link, inert
from nlp_mixup.release.front_matter import card_data
from nlp_mixup.release.released import Released, alpha_of, data_source, is_cutmix
from nlp_mixup.release.score_tables import ood_caption, ood_table, score_table, scores_caption, verdicts
from nlp_mixup.release.training_section import label_table, training_section
from nlp_mixup.runs import RunRecord

TEMPLATE = Path(__file__).with_suffix(".md")
MIXUP = (
    "Thulasidasan, Chennupati, Bilmes, Bhattacharya and Michalak (2019). On Mixup Training: Improved Calibration and "
    "Predictive Uncertainty for Deep Neural Networks. [arXiv:1905.11001](https://arxiv.org/abs/1905.11001)"
)
TEMPERATURE_SCALING = (
    "Guo, Pleiss, Sun and Weinberger (2017). On Calibration of Modern Neural Networks. "
    "[arXiv:1706.04599](https://arxiv.org/abs/1706.04599)"
)
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
        card_data(record, released, row),
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
        scores=score_table(record, split, calibration) if row else "",
        scores_caption=scores_caption(record, released, row) if row else "",
        scores_notes=verdicts(record, split) if row else "",
        folding=inert(released.folding_note, limit=2000),
        decisions=decision_table(decisions),
        decisions_caption=decisions_caption(record, decisions),
        ood=ood_table(record, calibration),
        ood_caption=ood_caption(record, released, row),
        training=training_section(record, released, source),
        labels=label_table(record),
        limits=_limits(record, released),
        references="\n".join(
            f"- {line}"
            for line in (
                MIXUP,
                *([CUTMIX] if is_cutmix(record) else []),
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


def _summary(record: RunRecord, released: Released, source: Mapping[str, str | None]) -> str:
    n_classes = len(record.metrics["label_names"])
    kind = "text" if released.task == "text-classification" else "image"
    start = f", fine-tuned from {hub_link(released.base_model, '')}" if released.base_model else ""
    method = "CutMix" if is_cutmix(record) else "mixup"
    mixup = f"with {method} (α = {alpha_of(record):g})" if alpha_of(record) > 0 else "without mixup"
    article = "An" if kind == "image" else "A"
    return (
        f"{article} {kind} classifier ({inert(released.architecture)}, {released.n_parameters:,} weights, {n_classes} classes)"
        f"{start}, trained on {data_link(source)} {mixup} by "
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
