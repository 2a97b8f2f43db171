"""Measures mixup on every model type that transformers can classify text or images with; keeps docs/architectures.md.

python tests/architecture_table.py            writes docs/architectures.md
python tests/architecture_table.py --check    fails where the page does not say what is measured of the types that it knows
"""

import argparse
import difflib
import sys
import tempfile
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from conftest import training_arguments
from tiny_architectures import (
    LABELS,
    MODEL_TYPES,
    PAD_TO_MULTIPLE,
    MissingDependency,
    forward,
    tiny_batch,
    tiny_classifier,
)
from tiny_image_models import (
    IMAGE_MODEL_TYPES,
    OWN_TYPES,
    image_rows,
    replay_images,
    tiny_image_classifier,
    tiny_images,
)
from torch import Tensor
from transformers import AutoModelForSequenceClassification, TrainerCallback

from nlp_mixup.calibration import Temperature
from nlp_mixup.mixing.architectures import HIDDEN_TYPES, REFUSED, check_mixable, encoder_layers
from nlp_mixup.mixing.draw import Mix
from nlp_mixup.mixing.embeddings import EmbeddingMixer
from nlp_mixup.mixing.hidden import HiddenMixer
from nlp_mixup.mixing.loss import mixed_cross_entropy
from nlp_mixup.models import build_word_tokenizer
from nlp_mixup.models.adapters import drawn_at_random, load_adapted, merge_adapters
from nlp_mixup.models.fold import folded
from nlp_mixup.models.lora import add_lora
from nlp_mixup.models.padding import allowed_error, padding_error
from nlp_mixup.vision import ImageMixupTrainer
from nlp_mixup.vision.mixing.architectures import LAYERS, check_image_model, image_layers
from nlp_mixup.vision.mixing.architectures import REFUSED as REFUSED_IMAGES
from nlp_mixup.vision.mixing.pixels import mixed_batch

PAGE = Path(__file__).parents[1] / "docs" / "architectures.md"
TOLERANCE = 1e-5
PARTNERS = [1, 0, 3, 2]
LENGTHS = ([12, 9, 7, 11], [5, 5, 1, 8], [1, 1, 2, 17])
LAMBDAS = ([0.3, 0.3, 0.8, 0.8], [0.5, 0.5, 0.5, 0.5], [0.999, 0.999, 0.01, 0.01])
HEADER = """# Which architectures mix

Written by `python tests/architecture_table.py` and compared in CI; do not edit. It builds a tiny random model of each of the
{total} model types that `AutoModelForSequenceClassification` knows in transformers {version} and measures, with right and left
padding, rows of 1 to 17 tokens and lambda from 0 to 1:

- **symmetry**: the largest difference between the logits of M(a, b, lambda) and M(b, a, 1 - lambda);
- **lambda 1**, **lambda 0**: the largest deviation from the plain forward pass of a, of b;
- **partner**: that mixing changes the logits, and that the gradient reaches the ids of both partners that it reaches without
  mixup;
- **steps**: one optimiser step at batch sizes 2, 3 and 5, finite, with the loss of labels mixed like the inputs;
- **hidden**: the symmetry error at `mixup_level="hidden"`, where that level is allowed;
- **padding**: the sides on which a row has the same logits alone and padded beside a longer one (to 3.5e-4 of the largest). A
  tokenizer that pads on another side is set to one of them before training and scoring; a type without any is refused there,
  unless nothing is padded, as with batches of one row or rows of one length;
- **temperature folds into**: the layer into which `nlp_mixup.models.fold.fold_temperature` folds T = 1.7 so that the logits are
  logits / T to within rounding, with right and left padding;
- **LoRA**: two steps with adapters (`lora_rank`) on the encoder alone, saved, loaded beside another random head and merged: the
  logits are those that were trained. Named is what was trained whole and saved with the adapters.

Errors are given as the power of ten above them; `0` is exactly zero. **{proven} types are proven** (errors below 1e-5), {refused}
refused; {padless} of the proven are exact on no side of padding. `mixup_level="sentence"` interpolates logits and needs nothing from
the architecture. `mra` ran without its CUDA kernel, that is, without its attention.

| type | verdict | symmetry | lambda 1 | lambda 0 | partner | steps | hidden | padding | temperature folds into | LoRA |
|---|---|---|---|---|---|---|---|---|---|---|
"""
IMAGE_HEADER = """
## Images

The same for the {total} types that `AutoModelForImageClassification` knows and the {own} that `nlp_mixup.vision` adds, which mix the
pixels of random images (`ImageMixupTrainer`), in float64. Errors are relative to the spread of the logits.

- **symmetry**, **lambda 1**, **lambda 0**: as above;
- **partner**: that mixing changes the logits;
- **gradient**: the relative difference between the trainer's gradient over two micro-batches and that of a plain PyTorch step
  on all rows with the same pairs, the statistics of BatchNorm frozen; and that the model saw no labels and kept its configuration;
- **hidden**: the largest error of symmetry, lambda 1 and lambda 0 over all stages or layers, where that level is allowed.

**{proven} types are proven**, {refused} refused; CI does not repeat the one that was proven by hand.

| type | verdict | symmetry | lambda 1 | lambda 0 | partner | gradient | hidden |
|---|---|---|---|---|---|---|---|
"""


# Image types that need a package CI does not have; measured by this program where it was installed.
BY_HAND = {"timm_wrapper": "resnet10t, vit_tiny_patch16_224 and convnext_atto of timm 1.0.31"}


def make_mix(lam: list[float], partners: list[int] = PARTNERS) -> Mix:
    shares = torch.tensor(lam)
    return Mix(torch.tensor(partners), shares, shares)


def embedding_errors(model, side: str) -> dict[str, float]:
    """The largest errors over lengths and lambdas, and the largest effect."""
    mixer = EmbeddingMixer(model)
    worst = {"symmetry": 0.0, "lam1": 0.0, "lam0": 0.0, "effect": 0.0}

    def mixed(batch: dict[str, Tensor], lam: list[float]) -> Tensor:
        with mixer.armed(batch, make_mix(lam)) as carried:
            return forward(model, carried)

    for lengths in LENGTHS:
        batch = tiny_batch(model, lengths, side)
        plain = forward(model, batch)
        for lam in LAMBDAS:
            one, other = mixed(batch, lam), mixed(batch, [1 - share for share in lam])
            worst["symmetry"] = max(worst["symmetry"], (one - other[PARTNERS]).abs().max().item())
            worst["effect"] = max(worst["effect"], (one - plain).abs().max().item())
        worst["lam1"] = max(worst["lam1"], (mixed(batch, [1.0] * 4) - plain).abs().max().item())
        worst["lam0"] = max(worst["lam0"], (mixed(batch, [0.0] * 4) - plain[PARTNERS]).abs().max().item())
    mixer.detach()
    return worst


def reached_ids(model, batch: dict[str, Tensor], lam: list[float] | None) -> set[tuple[int, int]]:
    """Rows of the embedding tables with a gradient after one backward pass, as (table, id)."""
    model.train().zero_grad()  # Reformer refuses to go backward in eval mode; without dropout the modes are equal
    mixer = EmbeddingMixer(model)
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    if lam is None:
        model(**inputs).logits.square().sum().backward()
    else:
        with mixer.armed(inputs, make_mix(lam)) as carried:
            model(**carried).logits.square().sum().backward()
    mixer.detach()
    tables = [site.embedding.module for site in mixer._sites]
    return {
        (table, int(token))
        for table, module in enumerate(tables)
        for weight in module.parameters()
        if weight.grad is not None and weight.dim() > 1
        for token in weight.grad.flatten(1).abs().sum(1).nonzero().flatten()
    }


def reaches_both(model, side: str) -> bool:
    batch = tiny_batch(model, [8, 8, 8, 8], side)
    plain = reached_ids(model, batch, None)
    return bool(plain) and plain <= reached_ids(model, batch, [0.7, 0.7, 0.6, 0.6])


def steps_are_finite(model_type: str, side: str) -> bool:
    for size in (2, 3, 5):
        model = tiny_classifier(model_type).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        batch = tiny_batch(model, [9, 4, 7, 1, 12][:size], side)
        mix = make_mix([0.7] * size, [*range(1, size), 0])
        labels = batch["labels"]
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        with EmbeddingMixer(model).armed(inputs, mix) as carried:
            logits = model(**carried).logits
            loss = mixed_cross_entropy(logits, labels, labels[mix.partners], mix.label_lam)
            loss.backward()
        hard = F.one_hot(labels, logits.shape[1]).float()
        soft = F.cross_entropy(logits.float(), 0.7 * hard + 0.3 * hard[mix.partners])
        optimizer.step()
        if not (loss.isfinite() and (loss - soft).abs() < 1e-5 and all(p.isfinite().all() for p in model.parameters())):
            return False
    return True


def hidden_error(model, side: str) -> float:
    mixer = HiddenMixer(model, encoder_layers(model))
    worst = 0.0
    batch = tiny_batch(model, LENGTHS[0], side)
    for layer in range(1, mixer.n_layers + 1):
        logits = []
        for lam in (LAMBDAS[0], [1 - share for share in LAMBDAS[0]]):
            with mixer.armed(batch, make_mix(lam), layer) as carried:
                logits.append(forward(model, carried))
        worst = max(worst, (logits[0] - logits[1][PARTNERS]).abs().max().item())
    mixer.detach()
    return worst


def folding_head(model) -> str:
    """The layer that a temperature is folded into, the same one on either side's batch."""
    temperature = Temperature(1.7, 1.6, 1.8, n=100, nll_before=1.0, nll_after=0.9, ece_before=0.1, ece_after=0.02)
    heads = set()
    for side in ("right", "left"):
        batch = tiny_batch(model, LENGTHS[0], side)
        del batch["labels"]
        with folded(model, temperature, batch) as folding:
            heads.add(folding.head)
    (head,) = heads
    return head


def lora_modules(model_type: str) -> str:
    """The modules that a LoRA run trains whole, or why there is none.

    Raises:
        RuntimeError: what is loaded or merged is not what was trained.
    """
    model = tiny_classifier(model_type)
    batch = tiny_batch(model, LENGTHS[0])
    labels = batch.pop("labels")
    with tempfile.TemporaryDirectory() as folder:
        model.base_model.save_pretrained(f"{folder}/encoder")
        torch.manual_seed(0)
        model, info = AutoModelForSequenceClassification.from_pretrained(
            f"{folder}/encoder", num_labels=LABELS, output_loading_info=True, ignore_mismatched_sizes=True
        )
        try:
            model = add_lora(model, 4, drawn=drawn_at_random(info), probe=lambda: batch).train()
        except ValueError as error:
            return f"none: {str(error).split(': ')[2].split('.')[0]}"
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
        for _ in range(2):
            optimizer.zero_grad()
            F.cross_entropy(model(**batch).logits, labels).backward()
            optimizer.step()
        trained = forward(model.eval(), batch)
        model.save_pretrained(f"{folder}/adapters")
        torch.manual_seed(1)
        loaded = load_adapted(Path(folder, "adapters"), [str(label) for label in range(LABELS)])
        for name in ("loaded", "merged"):
            error = (forward(loaded, batch) - trained).abs().max() / trained.abs().max()
            if not error < TOLERANCE:
                raise RuntimeError(f"LoRA, {name}: off by {error:.0e}")
            loaded = merge_adapters(loaded)
    names = [
        name
        for name in model.peft_config["default"].modules_to_save
        if name in dict(model.get_base_model().named_modules())
    ]
    return ", ".join(f"`{name}`" for name in sorted({*names}))


def exact_padding(model) -> str:
    """The sides on which a row has the same logits alone and padded, by the library's own measure."""
    multiple = PAD_TO_MULTIPLE.get(model.config.model_type, 1)
    sides = []
    for side in ("right", "left"):
        batch = tiny_batch(model, [8, 16], side)
        rows = [
            {"input_ids": ids[mask == 1].tolist()}
            for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
        ]
        tokenizer = build_word_tokenizer(["word"])
        tokenizer.pad_token = tokenizer.unk_token  # whose id is PAD
        tokenizer.padding_side, tokenizer.model_input_names = side, ["input_ids", "attention_mask"]
        pad = {"pad_to_multiple_of": multiple, "return_tensors": "pt"}
        if padding_error(model, lambda rows: tokenizer.pad(rows, **pad), rows) < allowed_error(model):  # noqa: B023
            sides.append(side)
    return ", ".join(sides) or "**none**"


def power(error: float) -> str:
    """The power of ten above an error; its digits are the machine's."""
    if error == 0:
        return "0"
    return "1e-6" if error < 1e-6 else f"1e{int(torch.tensor(error).log10().ceil()):d}"


def verdicts(page: str) -> dict[str, str]:
    """Task and model type -> its row without the sizes of the errors, which a verdict bounds and which differ between machines."""
    rows = {}
    for task, part in zip(("text", "image"), page.split("## Images"), strict=True):
        for cells in (line.split("|") for line in part.splitlines() if line.startswith("| ")):
            kept = cells[:3] + cells[6:8] + cells[9:] if len(cells) == 13 else cells
            rows[f"{task} {cells[1].strip()}"] = "|".join(kept)
    return rows


def row_of(model_type: str) -> tuple[bool, str]:
    """Whether the type is proven, and its row of the table."""
    try:
        model = tiny_classifier(model_type)
    except MissingDependency as error:
        reason = str(error).split(":")[1].split("\n")[0].strip().split(" but ")[0]
        if model_type not in REFUSED:
            return False, f"| {model_type} | **not refused, not built** | | | | | | | | | |"
        return False, f"| {model_type} | refused: {reason} | | | | | | | | | |"
    check_mixable(model.config)
    errors = [embedding_errors(model, side) for side in ("right", "left")]
    worst = {name: max(error[name] for error in errors) for name in errors[0]}
    partner = worst["effect"] > 1e-2 and all(reaches_both(model, side) for side in ("right", "left"))
    steps = all(steps_are_finite(model_type, side) for side in ("right", "left"))
    exact = max(worst["symmetry"], worst["lam1"], worst["lam0"]) < TOLERANCE
    hidden = max(hidden_error(model, side) for side in ("right", "left")) if model_type in HIDDEN_TYPES else None
    proven = exact and partner and steps and (hidden is None or hidden < TOLERANCE)
    cells = [power(worst[name]) for name in ("symmetry", "lam1", "lam0")]
    cells += ["yes" if partner else "no", "yes" if steps else "no", "" if hidden is None else power(hidden)]
    cells.append(exact_padding(tiny_classifier(model_type)))
    cells += [f"`{folding_head(tiny_classifier(model_type))}`", lora_modules(model_type)]
    return proven, f"| {model_type} | {'proven' if proven else '**not proven**'} | {' | '.join(cells)} |"


class _Gradient(TrainerCallback):
    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.value = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).clone()


def gradient_error(model) -> float:
    """Of the trainer's accumulated gradient, relative to a plain step on the whole batch with the same pairs."""
    batch, recorder, pairings = tiny_images(model), _Gradient(), []
    config = model.config.to_dict() | {"problem_type": "single_label_classification"}
    with tempfile.TemporaryDirectory() as folder:
        args = training_arguments(
            folder, max_steps=1, per_device_train_batch_size=2, gradient_accumulation_steps=2, mixup_alpha=1.0,
            mixup_lambda_per="example", learning_rate=0.0,
        )  # fmt: skip
        trainer = ImageMixupTrainer(model=model, args=args, train_dataset=image_rows(batch), callbacks=[recorder])
        pair = trainer.pair
        trainer.pair = lambda batches: pairings.extend(pair(batches)) or pairings
        handle = model.register_forward_pre_hook(_refuse_labels, with_kwargs=True)
        trainer.train()
        handle.remove()
    # What a model adds to its configuration as it is built or trained is its own; what it changes is not.
    changed = {name for name, value in model.config.to_dict().items() if name in config and config[name] != value}
    if changed - {"use_cache"}:
        raise RuntimeError(f"the configuration changed: {changed}")
    wanted = replay_images(model, batch, pairings[0].mix)
    return ((recorder.value - wanted).norm() / wanted.norm()).item()


def _refuse_labels(module, args, kwargs) -> None:
    if kwargs.get("labels") is not None:
        raise RuntimeError("the model was given labels")


def mixed_errors(model, mixed) -> dict[str, float]:
    """The largest errors over lambdas, and the smallest effect, relative to the spread of the plain logits."""
    batch = tiny_images(model)
    plain = image_logits(model, batch["pixel_values"])
    scale = plain.std()
    worst = {"symmetry": 0.0, "lam1": 0.0, "lam0": 0.0, "effect": float("inf")}
    for lam in LAMBDAS[:2]:
        one, other = mixed(batch, make_mix(lam)), mixed(batch, make_mix([1 - share for share in lam]))
        worst["symmetry"] = max(worst["symmetry"], ((one - other[PARTNERS]) / scale).abs().max().item())
        worst["effect"] = min(worst["effect"], ((one - plain) / scale).abs().max().item())
    worst["lam1"] = ((mixed(batch, make_mix([1.0] * 4)) - plain) / scale).abs().max().item()
    worst["lam0"] = ((mixed(batch, make_mix([0.0] * 4)) - plain[PARTNERS]) / scale).abs().max().item()
    return worst


def image_logits(model, pixel_values: Tensor) -> Tensor:
    with torch.no_grad():
        return model(pixel_values=pixel_values).logits


def hidden_image_errors(model) -> float:
    mixer = HiddenMixer(model, image_layers(model))
    worst = 0.0
    for layer in range(1, mixer.n_layers + 1):

        def mixed(batch, mix, layer=layer):
            with mixer.armed(batch, mix, layer) as carried:
                return image_logits(model, carried["pixel_values"])

        errors = mixed_errors(model, mixed)
        if errors["effect"] < 1e-3:
            raise RuntimeError(f"mixing layer {layer} changes nothing")
        worst = max(worst, errors["symmetry"], errors["lam1"], errors["lam0"])
    mixer.detach()
    return worst


def rounded(error: float) -> str:
    """An error below the tolerance without its digits, which are the machine's."""
    return "<1e-5" if error < TOLERANCE else f"**{error:.0e}**"


def image_row_of(model_type: str) -> tuple[bool, str]:
    """Whether the type is proven for images, and its row of the table."""
    if model_type in BY_HAND:
        return True, f"| {model_type} | proven by hand: {BY_HAND[model_type]} | | | | | | |"
    if model_type in REFUSED_IMAGES:
        try:
            check_image_model(tiny_image_classifier(model_type))
            return False, f"| {model_type} | **not refused** | | | | | | |"
        except (MissingDependency, ValueError, AttributeError):  # or it cannot be built from a small configuration
            return False, f"| {model_type} | refused: {REFUSED_IMAGES[model_type]} | | | | | | |"
    model = tiny_image_classifier(model_type).double()
    check_image_model(model)
    errors = mixed_errors(model, lambda batch, mix: image_logits(model, mixed_batch(batch, mix)["pixel_values"]))
    gradient = gradient_error(model)
    hidden = hidden_image_errors(model) if model_type in LAYERS else None
    partner = errors["effect"] > 1e-3
    measured = [errors["symmetry"], errors["lam1"], errors["lam0"], gradient, hidden or 0.0]
    proven = partner and max(measured) < TOLERANCE
    cells = [rounded(errors[name]) for name in ("symmetry", "lam1", "lam0")]
    cells += ["yes" if partner else "no", rounded(gradient), "" if hidden is None else rounded(hidden)]
    return proven, f"| {model_type} | {'proven' if proven else '**not proven**'} | {' | '.join(cells)} |"


def measured_rows(model_types: list[str], row) -> list[tuple[bool, str]]:
    rows = []
    for model_type in model_types:
        try:
            rows.append(row(model_type))
        except Exception as error:  # one type's failure is a row of the table
            rows.append((False, f"| {model_type} | **failed**: {type(error).__name__} {str(error)[:80]} | | | | | | |"))
    return rows


def table(header: str, rows: list[tuple[bool, str]], **facts) -> str:
    proven = sum(is_proven for is_proven, _ in rows)
    refused = sum("| refused: " in row for _, row in rows)
    print(f"{proven} proven, {refused} refused, {len(rows) - proven - refused} neither, of {len(rows)}")
    return header.format(proven=proven, refused=refused, **facts) + "".join(f"{row}\n" for _, row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the page instead of writing it")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    texts = measured_rows(MODEL_TYPES, row_of)
    images = measured_rows([*IMAGE_MODEL_TYPES, *OWN_TYPES], image_row_of)
    padless = sum("| **none** |" in row for _, row in texts)
    page = table(HEADER, texts, total=len(texts), version=transformers.__version__, padless=padless)
    page += table(IMAGE_HEADER, images, total=len(IMAGE_MODEL_TYPES), own=len(OWN_TYPES))
    wrong = [row for is_proven, row in texts + images if not is_proven and "| refused: " not in row]
    print("\n".join(wrong))
    written, measured = verdicts(PAGE.read_text()), verdicts(page)
    if not options.check:
        PAGE.write_text(page)
        sys.exit(1 if wrong else 0)
    if unproven := sorted(measured.keys() - written.keys()):
        print(f"Not on the page, which was measured with another transformers, and unproven: {', '.join(unproven)}")
    known = sorted(measured.keys() & written.keys())
    before, now = [written[name] for name in known], [measured[name] for name in known]
    if before != now:
        print("\n".join(difflib.unified_diff(before, now, "page", "measured", lineterm="")))
        sys.exit("docs/architectures.md does not say what is measured; run: python tests/architecture_table.py")


if __name__ == "__main__":
    main()
