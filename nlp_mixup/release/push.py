"""Publishing on the Hub: a finished run as a calibrated model with its card, and the two metrics as Spaces.

The token comes from the environment (HF_TOKEN) or from ``hf auth login``; it goes into requests and nowhere else. One
commit holds exactly the files that were listed.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import transformers
from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from huggingface_hub.utils import validate_repo_id
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
)

from nlp_mixup.advice import disagreement_line, ece_is_blind, fold_words, run_disagreement
from nlp_mixup.arguments import DataArguments
from nlp_mixup.calibration.folding import FoldDecision, decide_fold
from nlp_mixup.metrics import METRICS, metric_path
from nlp_mixup.models import (
    check_padding,
    drawn_at_random,
    folded,
    is_adapted,
    limit_length,
    load_adapted,
    merge_adapters,
    probe_batch,
)
from nlp_mixup.release.card import Released, model_card, reliability_png
from nlp_mixup.runs import (
    HUB_ID,
    Probe,
    RunRecord,
    check_same_model,
    interval_of,
    is_hub_id,
    probe_of,
    read_probe,
    read_record,
)

RELEASE = "release"  # folder of a run in which lies what it publishes
MARKER = ".nlp-mixup-release"  # stays at home; without it a folder is somebody's own
ATTEMPTS, FIRST_WAIT = 3, 1.0
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
Result = TypeVar("Result")


class UploadError(OSError):
    """An upload that did not finish, in one line that says how to go on."""


@dataclass(frozen=True)
class Upload:
    """Files for one repository, by the names they will have there.

    Args:
        repo_id: ``owner/name``.
        repo_type: ``model`` or ``space``.
        files: name in the repository -> local file.
        note: what a user should know of them, in one line.
    """

    repo_id: str
    repo_type: str
    files: dict[str, Path]
    note: str = ""

    def __str__(self) -> str:
        """One line per file, with its size."""
        sizes = {name: f"{path.stat().st_size:,}" for name, path in sorted(self.files.items())}
        width = max(map(len, sizes.values()))
        lines = [
            f"{self.repo_type} {self.repo_id}:",
            *(f"  {size:>{width}} bytes  {name}" for name, size in sizes.items()),
        ]
        return "\n".join([*lines, *([self.note] if self.note else [])])


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
    is_image = _reads_images(architecture) or model.main_input_name == "pixel_values"
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
        remote_code=_remote_code(partial, auto_class),
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
    own_code = _remote_code(folder, auto_class) is not None or type(model).__module__.startswith("transformers_modules")
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


def prepare_metrics(organisation: str) -> list[Upload]:
    """The Spaces ``organisation/ece`` and ``organisation/oe``, for ``evaluate.load("organisation/ece")``.

    Raises:
        ValueError: the organisation is no name on the Hub.
    """
    uploads = []
    for metric in METRICS:
        repo_id = f"{organisation}/{metric}"
        check_repo_id(repo_id)
        root = Path(metric_path(metric))
        paths = [path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        uploads.append(Upload(repo_id, "space", {path.relative_to(root).as_posix(): path for path in paths}))
    return uploads


def upload(
    plan: Upload,
    *,
    private: bool | None = None,
    revision: str | None = None,
    token: str | None = None,
    message: str = "",
) -> CommitInfo:
    """Makes the repository if it is not there, and commits the plan's files, all or none.

    What a busy or broken server refuses for the moment is tried again; files that it has already are not sent twice.

    Args:
        plan: what to upload.
        private: whether a new repository is private; an existing one stays as it is, and a public one is refused where a
            private one is asked for.
        revision: branch to commit to; made if it is not there.
        token: instead of the environment's or the stored one.
        message: of the commit.

    Returns:
        What the Hub says of the commit, its address among it.

    Raises:
        ValueError: there is no token, or it stands in one of the files, or the repository is public and may not be.
        UploadError: the Hub refused, or could not be reached; no local file is changed.
    """
    token = token or get_token()
    if token is None:
        raise ValueError(
            "There is no token for the Hub. Type: hf auth login, or set the environment variable HF_TOKEN."
        )
    _check_no_secret(plan, token)
    api = HfApi(token=token)

    def make_repository() -> None:
        sdk = "gradio" if plan.repo_type == "space" else None
        api.create_repo(plan.repo_id, repo_type=plan.repo_type, private=private, exist_ok=True, space_sdk=sdk)

    def make_branch() -> None:
        api.create_branch(plan.repo_id, repo_type=plan.repo_type, branch=str(revision), exist_ok=True)

    def commit() -> CommitInfo:
        operations = [CommitOperationAdd(name, str(path)) for name, path in sorted(plan.files.items())]
        return api.create_commit(
            plan.repo_id,
            operations,
            commit_message=message or "Upload by nlp-mixup push",
            repo_type=plan.repo_type,
            revision=revision,
        )

    def is_public() -> bool:
        return not api.repo_info(plan.repo_id, repo_type=plan.repo_type).private

    _with_retries(plan, make_repository)
    if private and _with_retries(plan, is_public):
        raise ValueError(
            f"{plan.repo_id} is on the Hub already, and public: what is uploaded there can be read by anybody. Nothing was "
            "uploaded. Make it private in its settings, choose another name, or push without private."
        )
    if revision is not None:
        _with_retries(plan, make_branch)
    return _with_retries(plan, commit)


def check_repo_id(repo_id: str) -> None:
    """Raises ValueError where a repository cannot be called so.

    >>> check_repo_id("me/my-model")
    """
    if HUB_ID.fullmatch(repo_id) is None:
        raise ValueError(f"REPO_ID must be owner/name, such as me/my-model, got {repo_id!r}.")
    validate_repo_id(repo_id)


def load_classifier(
    folder: Path, label_names: Sequence[str], *, trust_remote_code: bool = False
) -> tuple[PreTrainedModel, Any]:
    """A saved text or image classifier, or adapters with the model below them, and its tokenizer or image processor.

    Args:
        folder: of save_pretrained.
        label_names: of the classes, which saved adapters do not hold.
        trust_remote_code: run code that the model below saved adapters brings with it.

    Raises:
        FileNotFoundError: adapters without the model below them.
        ImportError: adapters without peft.
        ValueError: it is no classifier, or its files are damaged.
    """
    # Their classes register themselves with the Auto classes.
    import nlp_mixup.models
    import nlp_mixup.vision.models  # noqa: F401

    if is_adapted(folder):
        with _loading(folder):
            tokenizer = AutoTokenizer.from_pretrained(folder)
        adapted = load_adapted(folder, label_names, tokenizer=tokenizer, trust_remote_code=trust_remote_code)
        return adapted, tokenizer
    with _loading(folder):
        architecture = (AutoConfig.from_pretrained(folder).architectures or ["no model"])[0]
    auto_class: Any
    auto_processor: Any
    if _reads_images(architecture):
        auto_class, auto_processor = AutoModelForImageClassification, AutoImageProcessor
    elif "SequenceClassification" in architecture:
        auto_class, auto_processor = AutoModelForSequenceClassification, AutoTokenizer
    else:
        raise ValueError(f"{folder} holds {architecture}, which is neither a text nor an image classifier.")
    with _loading(folder):
        model, info = auto_class.from_pretrained(folder, output_loading_info=True)
        if missing := sorted(info["missing_keys"]):
            raise ValueError(f"it has no weights for {', '.join(missing[:4])}, which would be random")
        return model, auto_processor.from_pretrained(folder)


@contextlib.contextmanager
def _loading(folder: Path) -> Iterator[None]:
    """Turns what is said of weights that cannot be loaded, often a page, into a line."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ValueError(
            f"{folder} cannot be loaded: {reason.rstrip('.')}. Copy its files once more from where they are whole, or train the "
            "run again elsewhere, with --keep_models last."
        ) from error


def _reads_images(architecture: str) -> bool:
    """Whether a class of models, whose name may end in WithTeacher or Learned, classifies images."""
    return "ImageClassification" in architecture


def _remote_code(folder: Path, auto_class: str) -> str | None:
    """The file in a saved model's folder that holds its class, where transformers lacks it."""
    name = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("auto_map", {}).get(auto_class)
    file = f"{name.split('.')[0]}.py" if name else ""
    return file if file and (folder / file).is_file() else None


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


def _check_no_secret(plan: Upload, token: str) -> None:
    for name, path in plan.files.items():
        if path.suffix != ".safetensors" and token.encode() in path.read_bytes():
            raise ValueError(f"{path} contains your token for the Hub. Nothing was uploaded; take it out of {name}.")


def _with_retries(plan: Upload, action: Callable[[], Result]) -> Result:
    attempt = 0
    while True:
        attempt += 1
        try:
            return action()
        except (HTTPError, RuntimeError, OSError) as error:
            # The transfer of a single file wraps the request's own error in a RuntimeError.
            cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
            status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else None
            if attempt == ATTEMPTS or not (status is None or status in TRANSIENT):
                raise UploadError(_failure(plan, cause, status)) from error
            time.sleep(FIRST_WAIT * 2 ** (attempt - 1))


def _failure(plan: Upload, error: BaseException, status: int | None) -> str:
    """One line: what happened, what it may be, that nothing is lost, how to go on."""
    first_line = (str(error).splitlines() or [""])[0]
    what = f"the server answered {status}" if status else f"{type(error).__name__}: {first_line}".removesuffix(": ")
    advice = {
        401: "The token is missing, expired or mistyped: hf auth login, or HF_TOKEN",
        403: f"The token may not write to {plan.repo_id}: use one with write access",
        404: f"There is no {plan.repo_id}, or the token may not see it",
        **dict.fromkeys((409, 412), f"{plan.repo_id} is being changed by somebody else, or its name is taken"),
        413: "A file is too large for the Hub",
    }.get(status or 0, "The server may be busy, or the network down")
    return (
        f"The upload to {plan.repo_id} did not finish: {what}. {advice}. Every local file is as it was, and none is on the Hub; "
        "a repository or branch that was just made for them stays there, empty. To go on, run the same command again."
    )
