"""Equal rows are told apart: in drawn splits, across splits, under two labels, and from what a run was trained on."""

import csv
import io
import json
import shutil

import datasets
import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from image_folders import prepare as prepare_run_on_images
from image_folders import write_images, write_parquet
from PIL import Image
from run_folders import write_run

from nlp_mixup import cli
from nlp_mixup.arguments import DataArguments
from nlp_mixup.data.row_checks import facts_of, judged_rows, report_rows
from nlp_mixup.data.row_hashes import HASH, TRAINED, npy, text_hashes, trained_rows
from nlp_mixup.data.splits import stratified_rows
from nlp_mixup.data.texts import load_text_data
from nlp_mixup.doctor import DoctorArguments, evaluate
from nlp_mixup.release.save import prepare_run

HOSTILE = "<img src=x onerror=alert(1)>|[a](b)"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0, raising=False)
    datasets.disable_progress_bars()


def write_texts(path, texts, labels):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(["text", "label"])
        writer.writerows(zip(texts, labels, strict=True))
    return str(path)


def generated(n, seed, names=("bad", "good")):
    """n different texts, the classes in turn."""
    words = {names[0]: ["poor", "awful", "dull"], names[1]: ["fine", "great", "nice"]}
    random = np.random.RandomState(seed)
    labels = [names[row % 2] for row in range(n)]
    return [f"{random.choice(words[label])} film {seed} {row}" for row, label in enumerate(labels)], labels


def facts(**splits):
    """Facts of splits that are given as lists of (text, label)."""
    tables = {
        split: pa.table({"text": [t for t, _ in rows], "label": [y for _, y in rows]}) for split, rows in splits.items()
    }
    return {split: facts_of(table.append_column(HASH, pa.array(text_hashes(table)))) for split, table in tables.items()}


# ---- drawn splits ----------------------------------------------------------------------------------------------------


def test_a_drawn_split_keeps_equal_texts_together(tmp_path):
    """Each of 100 texts stands four times, once with other blanks and once in another Unicode form."""
    texts, labels = generated(100, 0)
    texts = [f"{text} caf\u00e9" for text in texts]
    spaced, decomposed = ([text.replace(*pair) for text in texts] for pair in ((" ", "  "), ("\u00e9", "e\u0301")))
    copies = [*texts, *texts, *spaced, *decomposed]
    file = write_texts(tmp_path / "four.csv", copies, labels * 4)
    data = load_text_data(DataArguments(train_file=file, validation_fraction=0.2))
    sides = {split: set(data.facts[split].hashes.tolist()) for split in data.splits}
    assert not sides["train"] & sides["validation"]
    assert {split: len(rows) for split, rows in data.splits.items()} == {"train": 320, "validation": 80}
    assert np.bincount(data.splits["validation"]["label"]).tolist() == [40, 40]
    told = report_rows(data.facts, data.label_names, drawn=data.drawn).notes
    assert told[0] == (
        "100 texts occur more than once, in 400 of the 400 rows that validation was drawn from: equal ones stay on one side."
    )
    again = load_text_data(DataArguments(train_file=file, validation_fraction=0.2))
    assert again.splits["validation"]["text"][:] == data.splits["validation"]["text"][:]
    other = load_text_data(DataArguments(train_file=file, validation_fraction=0.2, data_split_seed=14))
    assert other.splits["validation"]["text"][:] != data.splits["validation"]["text"][:]


def test_rows_without_copies_are_drawn_as_they_were(tmp_path):
    """The rows that version 0.1 drew from the same labels."""
    labels = np.arange(40) % 3
    drawn = [2, 4, 15, 17, 22, 27, 33, 34]
    assert stratified_rows(labels, 8, 13, keep=1).tolist() == drawn
    assert stratified_rows(labels, 8, 13, keep=1, groups=np.arange(40)).tolist() == drawn
    file = write_texts(tmp_path / "train.csv", [f"text {row}" for row in range(40)], [f"c{y}" for y in labels])
    data = load_text_data(DataArguments(train_file=file, validation_fraction=0.2))
    assert data.splits["validation"]["text"][:] == [f"text {row}" for row in drawn]
    assert not report_rows(data.facts, data.label_names, drawn=True).notes


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_groups_are_drawn_whole_and_the_classes_keep_their_shares(data):
    n = data.draw(st.integers(2, 60))
    labels = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    groups = np.array(data.draw(st.lists(st.integers(0, data.draw(st.integers(0, 60))), min_size=n, max_size=n)))
    size, seed = data.draw(st.integers(1, n)), data.draw(st.integers(0, 5))
    drawn = stratified_rows(labels, size, seed, keep=1, groups=groups)
    alone = stratified_rows(labels, size, seed, keep=1)
    rest = np.setdiff1d(np.arange(n), drawn)
    assert not set(groups[drawn]) & set(groups[rest])
    assert set(labels) == set(labels[rest])  # train keeps every class
    assert drawn.tolist() == stratified_rows(labels, size, seed, keep=1, groups=groups).tolist()
    if len(set(groups)) == n:
        assert drawn.tolist() == alone.tolist()
    # One class to a group, of at most two rows: each class is met to within one row.
    pure = np.unique(np.stack([groups, labels], 1), axis=0)
    if len(pure) == len(set(groups)) and np.unique(groups, return_counts=True)[1].max() <= 2:
        missed = np.abs(np.bincount(labels[drawn], minlength=4) - np.bincount(labels[alone], minlength=4))
        assert missed.max() <= 1


def test_one_text_a_class_is_no_split(tmp_path):
    file = write_texts(tmp_path / "same.csv", ["a", "a", "b", "b"], ["x", "x", "y", "y"])
    with pytest.raises(ValueError, match=r"one row of each class, equal ones counted once.*--validation_file FILE"):
        load_text_data(DataArguments(train_file=file))


def test_sampling_is_as_it_was_with_copies(tmp_path):
    """max_train_samples draws rows of train, copies or not: few-shot sets stay the same."""
    texts, labels = generated(40, 0)
    train = write_texts(tmp_path / "train.csv", texts * 2, labels * 2)
    other = write_texts(tmp_path / "other.csv", *generated(8, 1))
    data = load_text_data(DataArguments(train_file=train, validation_file=other, max_train_samples=12))
    ids = np.array(labels * 2) == "good"
    expected = stratified_rows(ids.astype(int), 12, 13, at_least=1)
    assert data.splits["train"]["text"][:] == [(texts * 2)[row] for row in expected]
    assert len(data.facts["train"].hashes) == 12


def test_drawn_images_stay_together_however_they_are_compressed(tmp_path):
    """Each picture twice, the second time in another file format."""
    random = np.random.RandomState(0)
    contents, labels = [], []
    for row in range(40):
        image = Image.fromarray(random.randint(0, 256, (8, 8, 3)).astype(np.uint8))
        for kind in ("png", "bmp"):
            file = io.BytesIO()
            image.save(file, format=kind)
            contents.append(file.getvalue())
            labels.append(row % 2)
    write_parquet(tmp_path / "train.parquet", contents, labels)
    prepared = prepare_run_on_images(tmp_path, dataset_name=str(tmp_path), validation_fraction=0.2)
    pixels = {split: [bytes(x.numpy()) for x in prepared.splits[split]["pixel_values"]] for split in prepared.splits}
    assert (len(pixels["train"]), len(pixels["validation"])) == (64, 16)
    assert not set(pixels["train"]) & set(pixels["validation"])
    assert prepared.rows.notes[0].startswith("40 images occur more than once, in 80 of the 80 rows")
    assert len(prepared.rows.hashes) == 32


# ---- what is said ----------------------------------------------------------------------------------------------------


def test_every_sentence_by_hand():
    splits = facts(
        train=[("a", 0), ("b", 0), ("b ", 1), ("c", 1), ("c", 1), ("d", 2), (" ", 1)],
        validation=[("a", 0), ("e", 0), ("e", 0)],
        test=[("e", 0), ("c", 1), ("f", 2)],
    )
    report = report_rows(splits, ["x", "y", "z"])
    assert report.notes == [
        "1 of 3 validation rows were trained on (row 1 is row 1 of train): scores on them say nothing of new rows.",
        "1 of 3 test rows were trained on (row 2 is row 4 of train): scores on them say nothing of new rows.",
        "1 of 3 test rows is a validation row too (row 1), on which the temperature is fitted.",
        "1 text stands under several labels (train row 2 as x and train row 3 as y).",
        "2 of 7 train rows repeat an earlier one (row 3 is row 2 again).",
        "1 of 3 validation rows repeats an earlier one (row 3 is row 2 again).",
        "1 train row has a blank text (row 7); --drop_blank leaves such rows out.",
        "1 class has a single training row (z, row 6).",
        "validation has no row of 2 classes of train (y, z).",
    ]
    assert {split: (found["rows"], found["of"]) for split, found in report.trained_on.items()} == {
        "validation": (1, 3),
        "test": (1, 3),
    }
    assert report.paragraph == f"About the rows: {' '.join(report.notes)}"
    assert report.hashes.tolist() == sorted(set(splits["train"].hashes.tolist()))
    clean = facts(train=[("a", 0), ("b", 0), ("c", 1), ("d", 1)], test=[("e", 0), ("f", 1)])
    assert report_rows(clean, ["x", "y"]).notes == []


def test_labels_of_noise_are_not_labels_of_the_source(tmp_path):
    """Copies under redrawn labels do not contradict each other: the source gives them one label."""
    texts, labels = generated(40, 0)
    train = write_texts(tmp_path / "train.csv", texts * 2, labels * 2)
    other = write_texts(tmp_path / "other.csv", *generated(8, 1))
    data = load_text_data(DataArguments(train_file=train, validation_file=other, label_noise=0.5))
    assert not [note for note in report_rows(data.facts, data.label_names).notes if "several labels" in note]


def test_places_are_those_of_the_file(tmp_path):
    """Rows that were left out or not drawn do not move the others' numbers; a CSV's header is row 1."""
    texts, labels = generated(30, 0)
    train = write_texts(tmp_path / "train.csv", ["", *texts], ["bad", *labels])
    test = write_texts(tmp_path / "test.csv", ["new", texts[-1]], ["bad", "good"])
    data = load_text_data(DataArguments(train_file=train, test_file=test, drop_blank=True, validation_file=test))
    found = report_rows(data.facts, data.label_names).trained_on["test"]
    assert (found["example"], "(row 3 is row 32 of train)" in found["note"]) == ("row 3", True)


def test_pairs_are_equal_where_both_texts_are(tmp_path):
    def write(name, pairs):
        path = tmp_path / name
        path.write_text("".join(json.dumps({"text": a, "other": b, "label": y}) + "\n" for a, b, y in pairs))
        return str(path)

    train = write("train.jsonl", [("a", "b", "x"), ("ab", "", "y"), ("c", "d", "x")])
    test = write("test.jsonl", [("a", "c", "x"), ("", "ab", "y"), ("c", "d", "x")])
    data = load_text_data(
        DataArguments(train_file=train, validation_file=test, text_pair_column="other", text_column="text")
    )
    found = report_rows(data.facts, data.label_names, noun="pair of texts")
    assert found.trained_on["validation"]["rows"] == 1
    assert "1 of 3 validation rows were trained on (row 3 is row 3 of train)" in found.notes[0]


# ---- a run and what it was trained on --------------------------------------------------------------------------------


@pytest.fixture
def recipe(tmp_path):
    """Files whose test rows are train's, and whose validation rows are their own."""
    texts, labels = generated(60, 0)
    write_texts(tmp_path / "train.csv", texts, labels)
    write_texts(tmp_path / "validation.csv", *generated(40, 1))
    write_texts(tmp_path / "new.csv", *generated(40, 2))
    content = {
        "train_file": "train.csv", "validation_file": "validation.csv", "test_file": "train.csv", "num_train_epochs": 1,
        "per_device_train_batch_size": 16, "mixup_alpha": 0.4, "output_dir": "out", "noise_samples": 0, "use_cpu": True,
        "arms": {"no_mixup": {"mixup_alpha": 0}, "mixup": {}},
    }  # fmt: skip
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return str(path)


LEAK = "All 60 test rows were trained on (row 2 is row 2 of train): scores on them say nothing of new rows."


def test_a_run_says_what_it_was_trained_on_wherever_it_is_judged(recipe, tmp_path, capsys):
    cli.main(["compare", recipe, "--keep_models", "last"])
    printed = capsys.readouterr().out
    assert printed.count(f"About the rows: {LEAK}") == 1  # once, for both runs
    assert f"Note: {LEAK}" in printed
    run = tmp_path / "out" / "mixup" / "seed-0"
    assert json.loads((run / "metrics.json").read_text())["trained_on"]["test"]["rows"] == 60
    for name in ("report.md", "report.html"):
        assert "All 60 test rows were trained on" in (tmp_path / "out" / name).read_text()
    cli.main(["train", recipe])
    assert f"Note: {LEAK}" in capsys.readouterr().out

    # The hashes: sorted, 8 bytes a row, and none of them when the rows are new.
    stored = np.load(run / TRAINED, allow_pickle=False)
    assert (stored.dtype, len(stored)) == (np.uint64, 60)
    assert (np.diff(stored.astype(object)) > 0).all()
    assert b"film" not in (run / TRAINED).read_bytes()

    # The doctor, by the run's own rows, by a file, and from the weights alone.
    for arguments in ([run], [run, "--test_file", "train.csv"], [run / "model", "--test_file", "train.csv"]):
        cli.main(["evaluate", *map(str, arguments), "--output_dir", "judged"])
        assert "Warning: All 60 test rows were trained on (row 2): scores" in capsys.readouterr().out
        found = json.loads((tmp_path / "judged" / "evaluation.json").read_text())
        assert found["trained_on"]["test"] | {"note": ""} == {"rows": 60, "of": 60, "example": "row 2", "note": ""}
        page = (tmp_path / "judged" / "evaluation.md").read_text()
        assert "**All 60 test rows were trained on (row 2)" in page
        assert page.index("trained on") < page.index("|---|") < page.index("accuracy")
    cli.main(["evaluate", str(run), "--test_file", "new.csv", "--json"])
    assert json.loads(capsys.readouterr().out)["trained_on"] == {}

    # The card; and nothing that could tell of a row goes up.
    plan = prepare_run(run, "me/model")
    card = plan.files["README.md"].read_text()
    assert (
        card.count("All 60 test rows were trained on (row 2 is row 2 of train)") == 2
    )  # beside the scores, and the rows
    assert LEAK in str(plan)
    hashes = [int(found).to_bytes(8, "little") for found in stored]
    for name, path in plan.files.items():
        assert not name.endswith((".npy", ".npz")), name
        assert not any(found in path.read_bytes() for found in hashes), name


def test_trained_on_from_a_run_its_rows_are_known(recipe, tmp_path, capsys):
    """The second run trains on other rows, and is judged by rows that the first was trained on."""
    cli.main(["train", recipe])
    base = tmp_path / "out" / "mixup" / "seed-0" / "model"
    again = ["--train_file", "new.csv", "--model_name_or_path", str(base), "--output_dir", "second"]
    capsys.readouterr()
    cli.main(["train", recipe, *again])
    told = "All 60 test rows were trained on (row 2 was trained on by the model that training starts from)"
    assert told in capsys.readouterr().out
    assert len(np.load(tmp_path / "second" / "mixup" / "seed-0" / TRAINED)) == 100  # of both


def test_a_run_without_hashes_says_so_and_damaged_ones_are_named(recipe, tmp_path, capsys):
    cli.main(["train", recipe])
    run = tmp_path / "out" / "mixup" / "seed-0"
    (run / TRAINED).write_bytes(b"\x93NUMPY of something else")
    with pytest.raises(SystemExit):
        cli.main(["evaluate", str(run), "--test_file", "new.csv"])
    assert f"{TRAINED} is damaged" in capsys.readouterr().err
    (run / TRAINED).unlink()
    cli.main(["evaluate", str(run), "--test_file", "train.csv"])
    assert "Whether the model was trained on these rows is not known" in capsys.readouterr().out
    model = shutil.copytree(run / "model", tmp_path / "elsewhere")  # a model of anybody, of which nothing is known
    cli.main(["evaluate", str(model), "--test_file", "train.csv"])
    assert "trained on" not in capsys.readouterr().out.replace("was not trained on", "")


def test_images_of_a_run_are_known_again(tmp_path, capsys):
    folder = write_images(tmp_path / "data", n=12)
    shutil.rmtree(folder / "test")
    shutil.copytree(folder / "train", folder / "test")
    settings = ["--task", "image", "--model_name_or_path", "resnet-small", "--noise_samples", "0", "--use_cpu"]
    recipe = tmp_path / "images.yaml"
    recipe.write_text(f"dataset_name: {folder}\nnum_train_epochs: 1\noutput_dir: out\narms: {{no_mixup: {{}}}}\n")
    cli.main(["train", str(recipe), *settings])
    assert "All 12 test rows were trained on (ant/0.png is ant/0.png of train)" in capsys.readouterr().out
    run = tmp_path / "out" / "no_mixup" / "seed-0"
    cli.main(["evaluate", str(run), "--use_cpu", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["trained_on"]["test"]["rows"], found["trained_on"]["test"]["of"]) == (12, 12)
    assert "validation" not in found["trained_on"]


def test_streamed_rows_are_not_checked_and_that_is_said(tmp_path):
    folder = write_images(tmp_path / "data", n=6)
    shutil.copy(folder / "validation" / "ant" / "0.png", folder / "test" / "ant" / "new.png")
    prepared = prepare_run_on_images(
        tmp_path, dataset_name=str(folder), streaming=True, max_steps=2, image_size=16, per_device_train_batch_size=2
    )
    assert (
        prepared.rows.notes[0]
        == "1 of 7 test rows is a validation row too (ant/new.png), on which the temperature is fitted."
    )
    assert (
        prepared.rows.notes[-1]
        == "The training rows are streamed: whether any of them is scored as well is not checked."
    )
    assert prepared.rows.hashes is None


def test_names_of_others_stay_words(tmp_path, capsys):
    """A class and a file whose names are HTML and Markdown, in every place where rows are told of."""
    texts, labels = generated(20, 0, names=("bad", HOSTILE))
    write_texts(tmp_path / "rows.csv", [*texts, texts[0]], [*labels, HOSTILE])
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        "train_file: rows.csv\nvalidation_file: rows.csv\nnum_train_epochs: 1\noutput_dir: out\nuse_cpu: true\n"
        "keep_models: last\nnoise_samples: 0\narms: {no_mixup: {}}\n"
    )
    cli.main(["compare", str(recipe)])
    run = tmp_path / "out" / "no_mixup" / "seed-0"
    cli.main(["evaluate", str(run), "--output_dir", "judged"])
    card = prepare_run(run, "me/model").files["README.md"]
    for page in (
        card,
        tmp_path / "out" / "report.md",
        tmp_path / "out" / "report.html",
        tmp_path / "judged" / "evaluation.md",
    ):
        said = page.read_text().split("---\n", 2)[-1]
        assert "several labels" in said, page
        assert "<img src=x" not in said.replace("\\<img", ""), page


def test_a_folder_of_hashes_knows_its_rows_only(tmp_path):
    splits = facts(train=[("a", 0), ("b", 1)], test=[("b", 1), ("c", 0), ("c", 1)])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / TRAINED).write_bytes(npy(report_rows(splits, ["x", "y"]).hashes))
    (tmp_path / "run" / "model").mkdir()
    for place in ("run", "run/model", "run/model/"):
        known, why = trained_rows(str(tmp_path / place))
        assert not why
        found = judged_rows({"test": splits["test"]}, ["x", "y"], known)
        assert found.trained_on["test"]["rows"] == 1
        assert found.notes == [
            "1 text stands under several labels (test row 2 as x and test row 3 as y).",
            "1 of 3 test rows repeats an earlier one (row 3 is row 2 again).",
        ]
    assert trained_rows(str(tmp_path)) == (None, "")
    assert trained_rows("text-cnn") == (None, "")


# ---- blank rows ------------------------------------------------------------------------------------------------------


def test_blank_rows_are_left_out_where_that_is_asked_for(tmp_path, caplog):
    path = tmp_path / "blank.jsonl"
    rows = [
        *({"text": f"text {row}", "label": "xy"[row % 2]} for row in range(6)),
        {"text": None, "label": "x"}, {"text": " \u00a0", "label": "x"}, {"text": "", "label": "y"},
        {"text": "a", "label": None}, {"text": "b", "label": " "},
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ValueError, match=r"column 'text' is missing in 1 of 11 rows: row 7.*--drop_blank"):
        load_text_data(DataArguments(train_file=str(path)))
    data = load_text_data(DataArguments(train_file=str(path), validation_file=str(path), drop_blank=True))
    assert data.splits["train"]["text"][:] == [f"text {row}" for row in range(6)]
    assert f"{path}: 5 of 11 rows are blank and left out (row 7)." in caplog.text
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[6:]))
    with pytest.raises(ValueError, match="all 5 rows are blank, so that --drop_blank leaves none"):
        load_text_data(DataArguments(train_file=str(path), drop_blank=True))


def test_blank_cells_of_a_csv_and_blank_labels(tmp_path):
    path = tmp_path / "blank.csv"
    path.write_text('text,label\na,x\n,x\nb,y\n"",y\nc,\nd," "\n')
    with pytest.raises(ValueError, match=r"missing in 1 of 6 rows: row 3 .*--drop_blank"):
        load_text_data(DataArguments(train_file=str(path)))
    data = load_text_data(DataArguments(train_file=str(path), validation_file=str(path), drop_blank=True))
    assert data.splits["train"]["text"][:] == ["a", "b"]
    path.write_text('text,label\na,x\nb,y\nd," "\n')
    with pytest.raises(ValueError, match=r"is blank in row 4.*--drop_blank"):
        load_text_data(DataArguments(train_file=str(path)))


@pytest.mark.parametrize("streaming", [False, True])
def test_images_and_labels_that_are_missing_are_left_out(tmp_path, streaming):
    folder = write_images(tmp_path / "data", n=6)
    contents = [file.read_bytes() for file in sorted((folder / "train").rglob("*.png"))]
    for split in ("train", "validation"):
        write_parquet(tmp_path / f"{split}.parquet", contents, [0, 0, 0, 1, 1, 1])
        rows = datasets.load_dataset(
            "parquet", data_files=str(tmp_path / f"{split}.parquet"), cache_dir=str(tmp_path / "hf")
        )
        table = rows["train"].with_format("arrow")[:]
        image, label = table["image"].combine_chunks(), table["label"].combine_chunks()
        holes = pa.table(
            {
                "image": pa.concat_arrays([image, pa.nulls(1, image.type), image[:1]]),
                "label": pa.concat_arrays([label, label[:1], pa.nulls(1, label.type)]),
            }
        )
        datasets.Dataset(holes.replace_schema_metadata(table.schema.metadata)).to_parquet(tmp_path / f"{split}.parquet")
    shutil.rmtree(folder)
    settings = {"dataset_name": str(tmp_path), "image_size": 16, "per_device_train_batch_size": 4}
    if streaming:
        settings |= {"streaming": True, "max_steps": 2}
    prepared = prepare_run_on_images(tmp_path, drop_blank=True, **settings)
    assert len(prepared.splits["validation"]) == 6
    labels = (
        [row["labels"] for row in prepared.splits["train"].take(24)]
        if streaming
        else prepared.splits["train"]["labels"]
    )
    assert sorted(set(labels)) == [0, 1]
    if not streaming:
        assert len(labels) == 6
        with pytest.raises(ValueError, match=r"missing in 1 of 8 rows: row 8.*--drop_blank"):
            prepare_run_on_images(tmp_path, **settings)


def test_the_doctor_leaves_blank_rows_out_too(tmp_path, capsys):
    write_run(tmp_path / "run", kind="text-cnn", names=("bad", "good"), n=(40, 40))
    texts, labels = generated(40, 0)
    path = write_texts(tmp_path / "blank.csv", ["", *texts], ["bad", *labels])
    options = DoctorArguments(use_cpu=True)
    found = evaluate(str(tmp_path / "run" / "model"), DataArguments(test_file=path, drop_blank=True), options)
    assert len(found.labels["test"]) == 40
    found = evaluate(str(tmp_path / "run" / "model"), DataArguments(test_file=path), options)
    assert "1 test row has a blank text (row 2); --drop_blank leaves such rows out." in found.notes
