"""Decoded pixels are kept, and made anew where they would be others."""

from image_folders import prepare


def test_kept_pixels_are_of_this_format_and_these_decoders(tmp_path, monkeypatch):
    def files():
        prepare(tmp_path, dataset_name="sklearn-digits", max_train_samples=20, max_eval_samples=20)
        return len(list((tmp_path / "cache").rglob("pixels-*.arrow")))

    first = files()
    assert first == files() > 0
    monkeypatch.setattr("nlp_mixup.vision.data.pixels._FORMAT", 0)
    assert files() == 2 * first
    monkeypatch.setattr("PIL.__version__", "0.0")
    assert files() == 3 * first
