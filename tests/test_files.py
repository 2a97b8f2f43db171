"""Files are written whole or not at all."""

from concurrent.futures import ThreadPoolExecutor

from nlp_mixup.files import write_atomically


def test_writers_do_not_disturb_each_other(tmp_path):
    """As two array jobs that end together and both write the report."""
    path, texts = tmp_path / "results.csv", ["a" * 50_000, "b" * 60_000]
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write_atomically, path, texts[i % 2]) for i in range(200)]:
            done.result()
    assert path.read_text() in texts
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.csv"]
