"""Image data: labels become classes as those of texts do."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_folders import encoded, prepare, write_images, write_parquet


def test_label_noise_redraws_its_share_of_every_split(tmp_path):
    """A fifth of 300 labels is 60, of which a tenth or so falls on the label it was."""
    settings = {"dataset_name": "sklearn-digits"}
    clean, noisy = (prepare(tmp_path, label_noise=noise, **settings).splits for noise in (0.0, 0.2))
    counts = {split: (np.array(clean[split]["labels"]) != np.array(noisy[split]["labels"])).sum() for split in clean}
    assert 45 <= counts["train"] <= 60
    assert 45 <= counts["validation"] <= 60
    assert 190 <= counts["test"] <= 239


def test_a_class_that_train_lacks(tmp_path):
    folder = write_images(tmp_path / "data")
    write_images(folder, splits=("test",), classes=("cow",) * 2)
    with pytest.raises(ValueError, match=r"test has labels that are no class of train: 'cow' \(8 rows\)"):
        prepare(tmp_path, dataset_name=str(folder))


@pytest.mark.parametrize(("labels", "names"), [([0, 1, 0, 2], None), ([0, 1, 0, 7], ["ant", "bee"])])
def test_labels_out_of_range(tmp_path, labels, names):
    """As plain numbers, with a gap; and beyond the names of a ClassLabel."""
    contents = [{"bytes": encoded(np.zeros((4, 4, 3))), "path": None}] * 4
    write_parquet(tmp_path / "test.parquet", [encoded(np.zeros((4, 4, 3)))], [0], names or ["0", "1"])
    labels = labels if names else [0, 1, 0, 3]
    table = pa.table({"image": contents, "label": labels})
    if names:
        table = table.replace_schema_metadata(pq.read_schema(tmp_path / "test.parquet").metadata)
    pq.write_table(table, tmp_path / "train.parquet")
    message = r"labels that are no class of train: '7'" if names else r"whole numbers from 0 without a gap"
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path, dataset_name=str(tmp_path))
