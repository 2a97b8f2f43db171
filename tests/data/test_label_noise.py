"""Label noise of texts; that of images is in tests/vision/data/test_images.py."""

import numpy as np

from nlp_mixup.arguments import DataArguments
from nlp_mixup.data.texts import load_text_data


def test_label_noise_redraws_its_share_of_every_split(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"word {row},{row % 2}\n" for row in range(200)))
    clean, noisy = (
        load_text_data(DataArguments(train_file=str(tmp_path / "train.csv"), label_noise=noise)).splits
        for noise in (0, 0.5)
    )
    for split, rows in (("train", 180), ("validation", 20)):
        assert clean[split]["text"] == noisy[split]["text"]
        changed = (np.array(clean[split]["label"]) != np.array(noisy[split]["label"])).mean()
        assert 0.1 <= changed <= 0.4, rows
