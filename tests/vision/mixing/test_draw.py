"""Boxes of CutMix against the area that they leave, and the generator that draws them."""

import numpy as np
import pytest
import torch

from nlp_mixup.mixing.draw import draw_mix
from nlp_mixup.vision.mixing.draw import cut_boxes, draw_cut_mix
from nlp_mixup.vision.mixing.pixels import mix_pixels


@pytest.mark.parametrize("lambda_per", ["batch", "example"])
@pytest.mark.parametrize("mode", ["full", "inputs_only", "labels_only"])
def test_cutmix_lambda_is_the_area_that_remains(mode, lambda_per):
    """Counted on images of 0 and 1, of an odd height and another width, at 40 draws."""
    n, size = 6, (9, 14)
    ones = torch.arange(n).remainder(2).float()
    for step in range(40):
        drawn = draw_mix(n, 1.0, seed=3, step=step, lambda_per=lambda_per, mode=mode)
        cut = draw_cut_mix(n, 1.0, size, seed=3, step=step, lambda_per=lambda_per, mode=mode)
        assert torch.equal(cut.partners, drawn.partners)
        mixed = mix_pixels(ones[:, None, None, None].expand(n, 1, *size), cut).mean((1, 2, 3))
        share = cut.lam * ones + (1 - cut.lam) * ones[cut.partners]
        torch.testing.assert_close(mixed, share)
        lam = {
            "full": (cut.lam, cut.label_lam),
            "inputs_only": (cut.lam, cut.label_lam),
            "labels_only": (cut.label_lam, cut.lam),
        }
        continuous, hard = lam[mode]
        assert torch.equal(hard, continuous if mode == "full" else (continuous >= 0.5).float())
        assert (continuous.unique().numel() > 1) == (lambda_per == "example")
        # A box that is cut off at the border leaves more of the image than was drawn; none leaves less.
        wanted = drawn.label_lam if mode == "labels_only" else drawn.lam
        assert (continuous >= wanted - 1e-6).all()


def test_cutmix_boxes_have_the_drawn_size_where_they_fit():
    """sqrt(1 - 0.75) = 1/2: boxes of 8 x 8 in 16 x 16, whose centres reach every part of the image."""
    boxes = torch.from_numpy(cut_boxes(np.full(4000, 0.75), np.random.default_rng(0).random((4000, 2)), (16, 16)))
    heights, widths = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    inner = (boxes[:, 0] > 0) & (boxes[:, 1] < 16) & (boxes[:, 2] > 0) & (boxes[:, 3] < 16)
    assert set(heights[inner].tolist()) == set(widths[inner].tolist()) == {8}
    assert (boxes[:, [0, 2]] >= 0).all()
    assert (boxes[:, [1, 3]] <= 16).all()
    assert set(boxes[:, 0].tolist()) == set(range(12))  # a centre at 0 to 15 starts at 4 less, and not before 0


@pytest.mark.parametrize("lambda_per", ["batch", "example"])
def test_cutmix_centres_are_those_of_a_generator_of_their_own(lambda_per):
    """Of seed, process, step, micro-step and 2, so that no coordinate may be left out or exchanged for another."""
    mix = draw_mix(5, 1.0, seed=3, rank=1, step=8, micro_step=4, lambda_per=lambda_per)
    cut = draw_cut_mix(5, 1.0, (20, 12), seed=3, rank=1, step=8, micro_step=4, lambda_per=lambda_per)
    n = 1 if lambda_per == "batch" else 5
    centres = np.random.default_rng([3, 1, 8, 4, 2]).random((n, 2))
    assert cut.boxes.tolist() == cut_boxes(mix.lam[:n].numpy(), centres, (20, 12)).tolist()
