"""Where padding changes a row's logits, another side is chosen or the model is refused: no number depends on the batch size."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_dataset, tiny_model, training_arguments
from datasets import Dataset
from run_folders import write_run
from tiny_architectures import PAD, tiny_classifier
from transformers import AutoTokenizer, DataCollatorWithPadding, PerceiverConfig, PerceiverForSequenceClassification

from nlp_mixup import MixupTrainer
from nlp_mixup.arguments import DataArguments
from nlp_mixup.doctor import DoctorArguments, evaluate
from nlp_mixup.models import build_word_tokenizer
from nlp_mixup.models.made_up import made_up_rows
from nlp_mixup.models.padding import check_padding, padding_error, settle_padding
from nlp_mixup.release.save import prepare_run

WORDS = [f"word{number}" for number in range(40)]
RIGHT_ALONE = {  # exact with padding on the right, wrong on the left
    "modernbert cls": ("modernbert", {"classifier_pooling": "cls"}),
    "gpt2": ("gpt2", {}),
    "deberta-v2": ("deberta-v2", {}),
    "nomic_bert": ("nomic_bert", {}),
    "eurobert bos": ("eurobert", {"classifier_pooling": "bos"}),
    "bert": ("bert", {}),
}
EITHER = {
    "modernbert mean": ("modernbert", {"classifier_pooling": "mean"}),
    "qwen3": ("qwen3", {}),
    "llama": ("llama", {}),
    "modernbert-decoder": ("modernbert-decoder", {}),
    "eurobert mean": ("eurobert", {"classifier_pooling": "mean"}),
    "eurobert late": ("eurobert", {"classifier_pooling": "late"}),
}
NEVER = ("convbert", "fnet", "mobilebert", "nystromformer", "t5gemma", "t5gemma2", "yoso")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def texts_of(n, low=3, high=31):
    random = np.random.default_rng(0)
    return [" ".join(random.choice(WORDS, random.integers(low, high))) for _ in range(n)]


def tokenizer_of(side):
    tokenizer = build_word_tokenizer(WORDS)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = side  # as one that was loaded has it
    return tokenizer


def tokenizer_of_tiny(side):
    """One whose padding id is that of `tiny_classifier`."""
    tokenizer = tokenizer_of(side)
    tokenizer.pad_token = tokenizer.unk_token
    assert tokenizer.pad_token_id == PAD
    return tokenizer


def model_of(model_type, tokenizer, **settings):
    return tiny_model(model_type, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **settings)


def saved_model(folder, model_type, settings, side="left"):
    tokenizer = tokenizer_of(side)
    model = model_of(model_type, tokenizer, **settings)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    rows = Dataset.from_dict({"text": texts_of(60), "label": [f"LABEL_{row % 3}" for row in range(60)]})
    rows.to_csv(folder / "rows.csv")
    return model, tokenizer


def evaluated(folder, batch_size):
    data = DataArguments(validation_file=str(folder / "rows.csv"))
    options = DoctorArguments(per_device_eval_batch_size=batch_size, use_cpu=True)
    return evaluate(str(folder / "model"), data, options)


@pytest.mark.parametrize("name", [*RIGHT_ALONE, *EITHER])
def test_evaluate_gives_the_numbers_of_one_row_at_a_time_whatever_the_tokenizers_side(name, tmp_path):
    saved_model(tmp_path, *(RIGHT_ALONE | EITHER)[name])
    alone, together = evaluated(tmp_path, 1), evaluated(tmp_path, 64)
    np.testing.assert_allclose(together.logits["validation"], alone.logits["validation"], rtol=1e-4, atol=2e-5)
    told = [note for note in together.notes if "padded on the right, not on the left" in note]
    assert len(told) == (name in RIGHT_ALONE)


def test_xlnet_is_padded_on_the_left_where_its_tokenizer_says_right():
    tokenizer = tokenizer_of_tiny("right")
    model = tiny_classifier("xlnet")
    change = settle_padding(model, DataCollatorWithPadding(tokenizer), made_up_rows(tokenizer), tokenizer)
    assert "padded on the left, not on the right" in change
    assert tokenizer.padding_side == "left"


@pytest.mark.parametrize("model_type", NEVER)
def test_a_model_that_errs_on_any_padding_is_refused_by_name(model_type):
    for side in ("right", "left"):
        tokenizer, model = tokenizer_of_tiny(side), tiny_classifier(model_type)
        with pytest.raises(ValueError, match=rf"{type(model).__name__} gives a row other logits .*whichever side"):
            settle_padding(model, DataCollatorWithPadding(tokenizer), made_up_rows(tokenizer), tokenizer)
        assert tokenizer.padding_side == side


def test_the_table_of_architectures_names_the_types_that_are_exact_on_no_side():
    page = (Path(__file__).parents[2] / "docs" / "architectures.md").read_text()
    assert sorted(line.split("|")[1].strip() for line in page.splitlines() if "| **none** |" in line) == sorted(NEVER)


def test_rows_of_one_length_need_no_padding_and_any_model_takes_them():
    tokenizer, model = tokenizer_of("left"), tiny_classifier("fnet")
    rows = [{"input_ids": [5, 6, 7, 0]}, {"input_ids": [5, 6, 7, 8]}]
    assert settle_padding(model, DataCollatorWithPadding(tokenizer), rows, tokenizer) is None
    assert tokenizer.padding_side == "left"


def test_the_error_is_the_difference_of_the_logits_as_a_share_of_the_largest():
    """Of logits that are the width of the batch and 10: 4 alone and 9 beside a longer row are 5 apart, of 10."""

    class Width(torch.nn.Module):
        device, dtype, training = torch.device("cpu"), torch.float32, False

        def forward(self, input_ids, attention_mask):
            return {"logits": torch.tensor([[float(input_ids.shape[1]), 10.0]] * len(input_ids))}

    collate = DataCollatorWithPadding(tokenizer_of("right"))
    rows = {"input_ids": [5] * 4}, {"input_ids": [5] * 9}
    assert padding_error(Width(), collate, rows) == pytest.approx(0.5)


def test_rounding_in_half_precision_is_no_fault_of_the_padding():
    tokenizer = tokenizer_of("left")
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        model = model_of("llama", tokenizer).to(dtype)
        assert settle_padding(model, DataCollatorWithPadding(tokenizer), made_up_rows(tokenizer), tokenizer) is None
        model = model_of("gpt2", tokenizer).to(dtype)
        assert settle_padding(model, DataCollatorWithPadding(tokenizer), made_up_rows(tokenizer), tokenizer)
        tokenizer.padding_side = "left"


def trained(folder, side, **settings):
    tokenizer = tokenizer_of(side)
    rows = tokenizer(texts_of(8))
    trainer = MixupTrainer(
        model=model_of("gpt2", tokenizer),
        args=training_arguments(folder, max_steps=3, mixup_alpha=0.4, gradient_accumulation_steps=2, **settings),
        train_dataset=Dataset.from_dict({**rows, "label": [row % 3 for row in range(8)]}),
        processing_class=tokenizer,
    )
    torch.manual_seed(1)
    loss = trainer.train().training_loss
    trainer.save_model(str(folder / "model"))
    return loss, AutoTokenizer.from_pretrained(folder / "model").padding_side


def test_training_pads_and_saves_the_side_that_is_exact(tmp_path):
    loss, side = trained(tmp_path / "left", "left")
    assert side == "right"
    assert loss == trained(tmp_path / "right", "right")[0]


def test_a_side_that_was_set_by_hand_is_saved(tmp_path):
    """save_pretrained leaves out what the tokenizer was not made with."""
    tokenizer = build_word_tokenizer(WORDS)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    tokenizer.padding_side = "left"
    model = model_of("llama", tokenizer)
    assert settle_padding(model, DataCollatorWithPadding(tokenizer), made_up_rows(tokenizer), tokenizer) is None
    tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path).padding_side == "left"


def test_the_trainer_refuses_what_errs_on_any_padding_before_training(tmp_path):
    tokenizer = tokenizer_of("right")
    given = {"train_dataset": tiny_dataset(), "processing_class": tokenizer}
    with pytest.raises(ValueError, match="FNetForSequenceClassification gives a row other logits"):
        MixupTrainer(model=tiny_classifier("fnet"), args=training_arguments(tmp_path), **given)
    one_by_one = training_arguments(tmp_path, per_device_train_batch_size=1, per_device_eval_batch_size=1)
    MixupTrainer(model=tiny_classifier("fnet"), args=one_by_one, **given)


def test_the_check_moves_no_random_stream_and_leaves_the_models_mode(tmp_path):
    tokenizer = tokenizer_of("left")
    model = model_of("gpt2", tokenizer).train()
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    settle_padding(model, DataCollatorWithPadding(tokenizer), made_up_rows(tokenizer), tokenizer)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert model.training


def test_evaluate_scores_one_row_at_a_time_what_errs_on_any_padding(tmp_path):
    tokenizer = tokenizer_of("right")
    tiny_classifier("fnet").save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    rows = Dataset.from_dict({"text": texts_of(30), "label": [f"LABEL_{row % 3}" for row in range(30)]})
    rows.to_csv(tmp_path / "rows.csv")
    with pytest.raises(ValueError, match=r"FNet.*--per_device_eval_batch_size 1"):
        evaluated(tmp_path, 8)
    assert evaluated(tmp_path, 1).logits["validation"].shape == (30, 3)


def test_a_run_that_was_padded_on_the_wrong_side_is_not_published(tmp_path):
    _, tokenizer, _ = write_run(tmp_path)
    tokenizer.init_kwargs["padding_side"] = tokenizer.padding_side = "left"
    tokenizer.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match=re.escape("padded on the left as its tokenizer does")):
        prepare_run(tmp_path, "me/model")
    assert not (tmp_path / "release").exists()


def test_the_check_before_publishing_leaves_the_tokenizer(tmp_path):
    tokenizer = tokenizer_of("left")
    check_padding(model_of("llama", tokenizer), tokenizer)
    with pytest.raises(ValueError, match="GPT2ForSequenceClassification"):
        check_padding(model_of("gpt2", tokenizer), tokenizer)
    assert tokenizer.padding_side == "left"


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_configuration_without_a_padding_token_trains_with_mixup(tmp_path, accumulate):
    config = PerceiverConfig(
        vocab_size=60, d_latents=16, d_model=16, num_latents=4, num_blocks=1, num_self_attends_per_block=1,
        num_self_attention_heads=2, num_cross_attention_heads=2, max_position_embeddings=64, num_labels=3,
        qk_channels=16, v_channels=16,
    )  # fmt: skip
    assert not hasattr(config, "pad_token_id")
    rows = [replace_label(row) for row in tiny_dataset(8)]
    trainer = MixupTrainer(
        model=PerceiverForSequenceClassification(config),
        args=training_arguments(tmp_path, max_steps=2, mixup_alpha=0.4, gradient_accumulation_steps=accumulate),
        train_dataset=rows,
        processing_class=tokenizer_of("right"),
    )
    assert np.isfinite(trainer.train().training_loss)


def replace_label(row):
    return {"labels" if name == "label" else name: value for name, value in row.items()}
