"""Which pretrained image models are refused."""

import pytest
from image_folders import prepare


def test_pretrained_models_of_grey_images_are_refused(tmp_path):
    from transformers import ViTConfig

    ViTConfig(num_channels=1).save_pretrained(tmp_path / "vit")
    with pytest.raises(ValueError, match=r"vit takes images of 1 channel; .*Choose a model with num_channels=3"):
        prepare(tmp_path, dataset_name="sklearn-digits", model_name_or_path=str(tmp_path / "vit"))
