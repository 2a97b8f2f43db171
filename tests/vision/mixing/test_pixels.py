"""Pixel mixup and CutMix against numbers worked by hand, and against the text side's core on the same tensors."""

import pytest
import torch
import torch.nn.functional as F

from nlp_mixup.mixing.draw import Mix, draw_mix
from nlp_mixup.mixing.embeddings import EmbeddingMixer
from nlp_mixup.mixing.loss import mixed_cross_entropy
from nlp_mixup.vision.mixing.draw import CutMix
from nlp_mixup.vision.mixing.pixels import check_inputs, mix_pixels, mixed_batch, pool_images


def pair_of(lam, label_lam=None):
    return Mix(torch.tensor([1, 0]), torch.tensor(lam), torch.tensor(label_lam or lam))


def test_mixup_of_two_images_by_hand():
    """Of black (0) and 8: a quarter of the way and three quarters."""
    pixels = torch.stack([torch.zeros(1, 2, 2), torch.full((1, 2, 2), 8.0)])
    assert mix_pixels(pixels, pair_of([0.75, 0.75])).flatten(1).tolist() == [[2.0] * 4, [6.0] * 4]
    assert mix_pixels(pixels, pair_of([0.75, 0.5])).flatten(1).tolist() == [[2.0] * 4, [4.0] * 4]


def test_cutmix_of_two_images_by_hand():
    """The partner's box is the left column of two: half of the area, whatever lambda was drawn."""
    pixels = torch.stack([torch.zeros(1, 2, 2), torch.full((1, 2, 2), 8.0)])
    half = torch.tensor([0.5, 0.5])
    mix = CutMix(torch.tensor([1, 0]), half, half, torch.tensor([[0, 2, 0, 1]] * 2))
    assert mix_pixels(pixels, mix).flatten(1).tolist() == [[8.0, 0.0, 8.0, 0.0], [0.0, 8.0, 0.0, 8.0]]


def test_mixing_is_symmetric_and_exact_at_both_ends():
    pixels = torch.randn(2, 3, 5, 5)
    one, other = (mix_pixels(pixels, pair_of(lam)) for lam in ([0.3, 0.3], [0.7, 0.7]))
    torch.testing.assert_close(one, other.flip(0))
    assert torch.equal(mix_pixels(pixels, pair_of([1.0, 1.0])), pixels)
    assert torch.equal(mix_pixels(pixels, pair_of([0.0, 0.0])), pixels.flip(0))


def test_same_numbers_as_the_text_side_on_the_same_tensors():
    """The vectors that an embedding layer mixes, given as pixels: the same Mix, the same mixture, the same loss."""
    from conftest import tiny_model

    model = tiny_model()
    ids = torch.tensor([[5, 6, 7], [8, 9, 10], [11, 12, 13], [14, 15, 16]])
    labels = torch.tensor([0, 1, 2, 0])
    mix = draw_mix(4, 0.4, seed=1, lambda_per="example")
    vectors, embedded = model.bert.embeddings.word_embeddings.weight.detach()[ids], []
    mixer = EmbeddingMixer(model)
    mixer.attach()
    handle = model.bert.embeddings.word_embeddings.register_forward_hook(lambda m, a, output: embedded.append(output))
    with torch.no_grad(), mixer.armed({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, mix) as carried:
        text_logits = model(**carried).logits
    handle.remove()
    as_images = mix_pixels(vectors.permute(0, 2, 1)[..., None], mix)[..., 0].permute(0, 2, 1)
    torch.testing.assert_close(as_images, embedded[0], atol=1e-6, rtol=1e-6)
    with torch.no_grad():
        logits = model(inputs_embeds=as_images, attention_mask=torch.ones_like(ids)).logits
    losses = [mixed_cross_entropy(z, labels, labels[mix.partners], mix.label_lam) for z in (logits, text_logits)]
    torch.testing.assert_close(*losses, atol=1e-6, rtol=1e-6)
    hard = F.one_hot(labels, 3).float()
    targets = mix.label_lam[:, None] * hard + (1 - mix.label_lam[:, None]) * hard[mix.partners]
    torch.testing.assert_close(losses[0], F.cross_entropy(logits, targets))


def test_rows_of_a_micro_batch_find_partners_in_the_whole_step():
    parts = [{"pixel_values": torch.randn(2, 3, 4, 4), "labels": torch.tensor([0, 1])} for _ in range(2)]
    pool = pool_images(parts)
    shares = torch.tensor([0.5, 0.25, 0.5, 0.5])
    mix = Mix(torch.tensor([3, 2, 1, 0]), shares, shares)
    batch = mixed_batch(pool, mix, slice(0, 2), with_clean=True)
    torch.testing.assert_close(
        batch["pixel_values"][1], 0.25 * pool["pixel_values"][1] + 0.75 * pool["pixel_values"][2]
    )
    assert torch.equal(batch["pixel_values"][2:], parts[0]["pixel_values"])
    assert batch["labels"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"input_ids": torch.zeros(2, 3)}, r"needs pixel_values in the batch, which has input_ids.*MixupTrainer"),
        (
            {"pixel_values": torch.zeros(2, 3, 4)},
            r"must be floats \(rows, channels, height, width\), got .*\(2, 3, 4\)",
        ),
        ({"pixel_values": torch.zeros(2, 3, 4, 4).byte()}, r"must be floats .* got torch.uint8"),
        (
            {"pixel_values": torch.zeros(2, 3, 4, 4), "pixel_attention_mask": torch.ones(2, 4)},
            r"not pixel_attention_mask",
        ),
    ],
)
def test_batches_that_cannot_be_mixed(inputs, message):
    with pytest.raises(ValueError, match=message):
        check_inputs(inputs)


def test_images_of_several_sizes_in_one_step():
    with pytest.raises(ValueError, match=r"several shapes, \[\(3, 4, 4\), \(3, 8, 8\)\]"):
        pool_images([{"pixel_values": torch.zeros(1, 3, size, size)} for size in (4, 8)])
