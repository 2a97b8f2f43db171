"""Images out of distribution: noise, and named files and folders."""

import numpy as np
import pytest
import torch
from image_folders import encoded, prepare, write_images, write_parquet


def test_noise_has_the_statistics_of_the_training_images(tmp_path):
    prepared = prepare(tmp_path, dataset_name=str(write_images(tmp_path / "data", n=20)), noise_samples=400)
    assert set(prepared.ood) == {"noise", "uniform"}
    train, gaussian, uniform = (
        rows[:]["pixel_values"] for rows in (prepared.splits["train"], prepared.ood["noise"], prepared.ood["uniform"])
    )
    assert gaussian.shape == (400, 3, 16, 16)
    for moment in (torch.mean, torch.std):
        torch.testing.assert_close(moment(gaussian, (0, 2, 3)), moment(train, (0, 2, 3)), atol=0.02, rtol=0)
    raw = uniform * torch.tensor(prepared.processing_class.image_std)[:, None, None]
    raw = raw + torch.tensor(prepared.processing_class.image_mean)[:, None, None]
    assert -1e-5 <= raw.min() < 0.01
    assert 0.99 < raw.max() <= 1 + 1e-5
    assert raw.std().item() == pytest.approx(12**-0.5, abs=0.002)
    assert torch.equal(prepared.ood["noise"][7]["pixel_values"], gaussian[7])


def test_named_sets_out_of_distribution(tmp_path):
    folder = write_images(tmp_path / "data")
    write_parquet(tmp_path / "far.parquet", [encoded(np.full((16, 16, 3), value)) for value in range(5)], [0] * 5)
    ood = [f"far={tmp_path / 'far.parquet'}", f"near={folder / 'test' / 'ant'}"]
    prepared = prepare(tmp_path, dataset_name=str(folder), ood_files=ood, noise_samples=0)
    assert {name: len(rows) for name, rows in prepared.ood.items()} == {"far": 5, "near": 4}
    assert prepared.ood["far"].column_names == ["pixel_values"]


def test_rows_of_a_set_out_of_distribution_are_chosen_by_a_column(tmp_path):
    """By the grammar that texts have too."""
    folder, far = write_images(tmp_path / "data"), tmp_path / "far.parquet"
    write_parquet(far, [encoded(np.full((16, 16, 3), value)) for value in range(5)], [0, 1, 0, 0, 1])
    prepared = prepare(tmp_path, dataset_name=str(folder), ood_files=[f"far={far}:label=0"], noise_samples=0)
    assert len(prepared.ood["far"]) == 3
    for entry, message in (
        (f"far={far}:label=7", r"no row has '7' in column 'label', which holds 0, 1"),
        (f"far={far}:kind=7", r"has no column 'kind' to choose rows by"),
        (f"far={folder / 'test'}:label=0", r"is a folder, whose images have no column 'label'"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(tmp_path, dataset_name=str(folder), ood_files=[entry])
