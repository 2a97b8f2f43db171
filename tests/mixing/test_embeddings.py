"""Embedding mixup inside the forward pass: symmetric, exact at the ends, equal to a mix written out by hand."""

import pytest
import torch
from conftest import DECODERS, ENCODERS, tiny_batch, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_mixup.mixing.draw import Mix
from nlp_mixup.mixing.embeddings import EmbeddingMixer, choose_carriers, interpolate

PARTNERS = [1, 0, 3, 2]


def make_mix(partners, lam):
    return Mix(torch.tensor(partners), torch.tensor(lam), torch.tensor(lam))


def mixed_logits(model, batch, lam, partners=PARTNERS, carrier="auto"):
    mixer = EmbeddingMixer(model, carrier)
    mix = make_mix(partners, lam)
    try:
        with torch.no_grad(), mixer.armed(batch, mix) as carried:
            return model(**carried).logits
    finally:
        mixer.detach()


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("model_type", ENCODERS + DECODERS)
def test_mixing_is_symmetric_and_exact_at_both_ends(model_type, side):
    model, batch = tiny_model(model_type), tiny_batch(side=side)
    with torch.no_grad():
        plain = model(**batch).logits
    mixed = mixed_logits(model, batch, [0.3, 0.3, 0.8, 0.8])
    swapped = mixed_logits(model, batch, [0.7, 0.7, 0.2, 0.2])
    torch.testing.assert_close(mixed, swapped[PARTNERS], atol=1e-6, rtol=0)
    torch.testing.assert_close(mixed_logits(model, batch, [1.0] * 4), plain, atol=1e-6, rtol=0)
    torch.testing.assert_close(mixed_logits(model, batch, [0.0] * 4), plain[PARTNERS], atol=1e-6, rtol=0)
    if (model_type, side) != ("longformer", "left"):  # which pools its first position, here padding
        assert (mixed - plain).abs().amax(1).min() > 1e-2  # every row was mixed


@pytest.mark.parametrize("side", ["right", "left"])
def test_ties_keep_the_symmetry(side):
    model = tiny_model("roberta")
    for lengths in [(12, 9, 7, 7), (5, 5, 5, 5)]:
        batch = tiny_batch(lengths, side)
        mixed = mixed_logits(model, batch, [0.5] * 4)
        torch.testing.assert_close(mixed, mixed[PARTNERS], atol=1e-6, rtol=0)


@pytest.mark.parametrize("model_type", ["bert", "roberta", "llama"])
def test_longer_carrier_is_symmetric_and_misses_the_endpoint_of_the_shorter_only(model_type):
    model, batch = tiny_model(model_type), tiny_batch(lengths=(12, 9, 7, 11))
    mixed = mixed_logits(model, batch, [0.3] * 4, carrier="longer")
    swapped = mixed_logits(model, batch, [0.7] * 4, carrier="longer")
    torch.testing.assert_close(mixed, swapped[PARTNERS], atol=5e-6, rtol=0)
    with torch.no_grad():
        error = (mixed_logits(model, batch, [1.0] * 4, carrier="longer") - model(**batch).logits).abs().amax(1)
    assert error[[0, 3]].max() < 1e-5  # rows longer than their partners
    assert error[[1, 2]].min() > 1e-2  # documented: the shorter row's padding is attended


@pytest.mark.parametrize("carrier", ["dominant", "longer"])
def test_equals_a_mix_written_out_with_inputs_embeds(carrier):
    """For BERT, whose logits do not depend on ids but through E: lam E(a) + (1 - lam) E(b) under the carrier's mask."""
    model, batch = tiny_model("bert"), tiny_batch(lengths=(10, 6))
    ids, mask = batch["input_ids"], batch["attention_mask"]
    embeddings = model.get_input_embeddings()(ids).detach()
    lam = 0.7
    a_b, b_a = (lam * embeddings[0] + (1 - lam) * embeddings[1], lam * embeddings[1] + (1 - lam) * embeddings[0])
    masks = mask if carrier == "dominant" else torch.maximum(mask, mask.flip(0))
    with torch.no_grad():
        by_hand = model(inputs_embeds=torch.stack([a_b, b_a]), attention_mask=masks).logits
    mixed = mixed_logits(model, batch, [lam, lam], [1, 0], carrier)
    torch.testing.assert_close(mixed, by_hand, atol=1e-6, rtol=0)


def test_token_types_travel_with_the_carrier():
    model, batch = tiny_model("bert", type_vocab_size=2), tiny_batch(lengths=(8, 8))
    batch["token_type_ids"] = torch.tensor([[0] * 3 + [1] * 5, [0] * 6 + [1] * 2])
    with torch.no_grad():
        plain = model(**batch).logits
    torch.testing.assert_close(mixed_logits(model, batch, [0.0, 0.0], [1, 0]), plain.flip(0), atol=1e-6, rtol=0)


@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_gradients_reach_both_partners(model_type):
    model = tiny_model(model_type)
    batch = {"input_ids": torch.tensor([[10, 11, 12], [20, 21, 22]]), "attention_mask": torch.ones(2, 3).long()}
    with EmbeddingMixer(model).armed(batch, make_mix([1, 0], [0.8, 0.8])) as carried:
        model(**carried).logits[0].sum().backward()
    gradient = model.get_input_embeddings().weight.grad.norm(dim=1)
    touched = gradient.nonzero().flatten().tolist()
    assert touched == [10, 11, 12, 20, 21, 22]
    # The same path scaled by lambda and 1 - lambda, position by position: 4 to 1.
    torch.testing.assert_close(gradient[10:13] / gradient[20:23], torch.full((3,), 4.0), rtol=1e-4, atol=0)


def test_odd_batches_and_a_row_mixed_with_itself():
    model, batch = tiny_model("bert"), tiny_batch(lengths=(5, 8, 6))
    with torch.no_grad():
        plain = model(**batch).logits
    mixed = mixed_logits(model, batch, [0.4] * 3, [1, 0, 2])
    torch.testing.assert_close(mixed[2], plain[2], atol=1e-6, rtol=0)
    assert (mixed[:2] - plain[:2]).abs().min() > 1e-4


def test_disarmed_and_detached_leave_the_model_as_it_was():
    model, batch = tiny_model("bert"), tiny_batch()
    mixer = EmbeddingMixer(model)
    with torch.no_grad():
        plain = model(**batch).logits
        with mixer.armed(batch, make_mix(PARTNERS, [0.6] * 4)) as carried:
            model(**carried)
        assert torch.equal(model(**batch).logits, plain)
    mixer.detach()
    embedding = model.get_input_embeddings()
    assert not embedding._forward_hooks
    assert not embedding._forward_pre_hooks


def test_an_error_inside_the_step_disarms():
    model, batch = tiny_model("bert"), tiny_batch()
    mixer = EmbeddingMixer(model)
    with torch.no_grad():
        plain = model(**batch).logits
    with pytest.raises(ZeroDivisionError), mixer.armed(batch, make_mix(PARTNERS, [0.6] * 4)):
        raise ZeroDivisionError
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, plain)


@pytest.mark.parametrize("calls", [0, 2])
def test_embedding_not_called_exactly_once_is_an_error(calls):
    model, batch = tiny_model("bert"), tiny_batch()
    mixer = EmbeddingMixer(model)
    with (
        pytest.raises(RuntimeError, match=rf"called its embedding modules \[{calls}\] times"),
        mixer.armed(batch, make_mix(PARTNERS, [0.6] * 4)) as carried,
    ):
        for _ in range(calls):
            model(**carried)
    assert not model.get_input_embeddings()._forward_hooks


def test_no_token_ids_is_an_error():
    mixer = EmbeddingMixer(tiny_model("bert"))
    with (
        pytest.raises(ValueError, match=r"needs input_ids in the batch, which has inputs_embeds, labels"),
        mixer.armed({"inputs_embeds": torch.zeros(2, 3, 16), "labels": torch.zeros(2)}, None),
    ):
        pass


def test_carriers_by_hand():
    mix = make_mix([1, 2, 0], [0.9, 0.2, 0.5])
    carriers, others, lam = choose_carriers(mix, torch.tensor([4, 7, 9]))
    assert carriers.tolist() == [0, 2, 2]  # the tie of row 2 (length 9) with row 0 (length 4) goes to the longer
    assert others.tolist() == [1, 1, 0]
    torch.testing.assert_close(lam, torch.tensor([0.9, 0.8, 0.5]))
    carriers, others, lam = choose_carriers(mix, torch.tensor([4, 7, 9]), "longer")
    assert carriers.tolist() == [1, 2, 2]
    assert others.tolist() == [0, 1, 0]
    torch.testing.assert_close(lam, torch.tensor([0.1, 0.8, 0.5]))


def test_micro_batches_of_a_step_mix_as_one_batch():
    model, batch = tiny_model("roberta"), tiny_batch()
    partners, lam = [2, 3, 1, 0], [0.9, 0.2, 0.6, 0.7]
    whole = mixed_logits(model, batch, lam, partners)
    mixer = EmbeddingMixer(model)
    parts = []
    for rows in (slice(0, 1), slice(1, 4)):
        with torch.no_grad(), mixer.armed(batch, make_mix(partners, lam), rows=rows) as carried:
            parts.append(model(**carried).logits)
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("carrier", ["dominant", "longer"])
def test_clean_rows_ride_behind_the_mixed_ones(carrier):
    model, batch = tiny_model("bert"), tiny_batch()
    mixer = EmbeddingMixer(model, carrier)
    with torch.no_grad():
        with mixer.armed(batch, make_mix(PARTNERS, [0.7] * 4), with_clean=True) as carried:
            logits = model(**carried).logits
        plain = model(**batch).logits
    torch.testing.assert_close(logits[:4], mixed_logits(model, batch, [0.7] * 4, carrier=carrier), atol=1e-6, rtol=0)
    torch.testing.assert_close(logits[4:], plain, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("model_type", "settings"), [
    ("longformer", {}),
    ("big_bird", {"attention_type": "block_sparse", "block_size": 4, "num_random_blocks": 1}),
])  # fmt: skip
@pytest.mark.parametrize("length", [11, 50])
def test_models_that_lengthen_the_batch_mix_at_any_length(model_type, settings, length):
    model, batch = tiny_model(model_type, **settings), tiny_batch(lengths=(length, 7, length - 3, 5))
    with torch.no_grad():
        plain = model(**batch).logits
    mixed = mixed_logits(model, batch, [0.3, 0.3, 0.8, 0.8])
    torch.testing.assert_close(mixed, mixed_logits(model, batch, [0.7, 0.7, 0.2, 0.2])[PARTNERS], atol=1e-6, rtol=0)
    torch.testing.assert_close(mixed_logits(model, batch, [1.0] * 4), plain, atol=1e-6, rtol=0)


def test_a_padding_only_call_is_let_through():
    """Block-sparse BigBird-Pegasus embeds the padding to its block size in a call of its own."""
    model = tiny_model(
        "bigbird_pegasus", d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, attention_type="block_sparse", block_size=4,
        num_random_blocks=1, decoder_start_token_id=2,
    )  # fmt: skip
    batch = tiny_batch(lengths=(50, 44))
    batch["input_ids"][0, 49] = batch["input_ids"][1, 43] = 2
    with torch.no_grad():
        plain = model(**batch).logits
    torch.testing.assert_close(mixed_logits(model, batch, [1.0, 1.0], [1, 0]), plain, atol=1e-6, rtol=0)
    mixed = mixed_logits(model, batch, [0.6, 0.6], [1, 0])
    assert (mixed - plain).abs().max() > 1e-3


def test_inputs_beside_the_text_that_would_stay_unmixed_are_refused():
    batch = {**tiny_batch(), "entity_ids": torch.zeros(4, 2, dtype=torch.long)}
    mixer = EmbeddingMixer(tiny_model("bert"))
    with (
        pytest.raises(ValueError, match="would mix the text but not entity_ids"),
        mixer.armed(batch, make_mix(PARTNERS, [1.0] * 4)),
    ):
        pass


def test_every_text_input_of_rocbert_is_mixed():
    model = tiny_model(
        "roc_bert", pronunciation_vocab_size=60, shape_vocab_size=60, pronunciation_embed_dim=4, shape_embed_dim=4
    )
    batch = tiny_batch(lengths=(6, 6))
    batch |= {name: batch["input_ids"].flip(1) for name in ("input_shape_ids", "input_pronunciation_ids")}
    one = mixed_logits(model, batch, [0.7, 0.7], [1, 0])
    batch["input_shape_ids"] = batch["input_shape_ids"].clone()
    batch["input_shape_ids"][1] = 5
    assert (mixed_logits(model, batch, [0.7, 0.7], [1, 0])[0] - one[0]).abs().max() > 1e-4


@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_columns_of_padding_alone_change_nothing(model_type):
    model, batch = tiny_model(model_type), tiny_batch()
    wide = {
        "input_ids": torch.nn.functional.pad(batch["input_ids"], (0, 5), value=1),
        "attention_mask": torch.nn.functional.pad(batch["attention_mask"], (0, 5)),
    }
    lam = [0.3, 0.3, 0.8, 0.8]
    torch.testing.assert_close(mixed_logits(model, wide, lam), mixed_logits(model, batch, lam), atol=1e-5, rtol=0)


def test_interpolation_by_hand():
    first, second = torch.tensor([[[1.0, 2.0]], [[10.0, 20.0]]]), torch.tensor([[[3.0, 6.0]], [[20.0, 40.0]]])
    mixed = interpolate(first, second, torch.tensor([0.25, 0.9]))
    torch.testing.assert_close(mixed, torch.tensor([[[2.5, 5.0]], [[11.0, 22.0]]]))


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 1, width=32), st.integers(0, 10_000))
def test_interpolation_is_symmetric_and_exact_at_both_ends(lam, seed):
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(1, 4, generator=generator) for _ in range(2))
    share = torch.tensor([lam])
    torch.testing.assert_close(interpolate(a, b, share), interpolate(b, a, 1 - share), atol=2e-7, rtol=1e-6)
    assert torch.equal(interpolate(a, b, torch.ones(1)), a)
    assert torch.equal(interpolate(a, b, torch.zeros(1)), b)
