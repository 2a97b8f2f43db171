"""What is known of a released model beside its run's numbers, and what its data are called."""

from __future__ import annotations

from dataclasses import dataclass

from nlp_mixup.arguments import row_sources
from nlp_mixup.runs import RunRecord, is_hub_id


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


def alpha_of(record: RunRecord) -> float:
    return float(record.settings.get("mixup_alpha") or 0.0)


def is_cutmix(record: RunRecord) -> bool:
    return alpha_of(record) > 0 and record.settings.get("mixup_pixels") == "cutmix"
