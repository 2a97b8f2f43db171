"""Labels and classes from the command line: who is who, in which order, and that every hint works once it is typed."""

import csv
import json
import shlex
import subprocess

import numpy as np
import pytest
import torch
from conftest import tiny_model
from image_folders import write_images
from safetensors.torch import load_file, save_file
from transformers import ViTConfig, ViTForImageClassification
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from nlp_mixup import cli
from nlp_mixup.arguments import DataArguments
from nlp_mixup.data.texts import load_text_data
from nlp_mixup.models import build_word_tokenizer
from nlp_mixup.models.starting import class_names
from nlp_mixup.recipe import Recipe, parse_arguments
from nlp_mixup.runs.prepared import prepare
from nlp_mixup.runs.run import Run

WORDS = {"neg": ["awful", "dull", "poor"], "pos": ["fine", "great", "superb"]}
PLAIN = {"use_cpu": "true", "disable_tqdm": "true", "report_to": "none", "noise_samples": "0", "save_strategy": "no"}


def write(path, labels, texts=None, **columns):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(["text", "label", *columns])
        writer.writerows(zip(texts or [f"row {i}" for i in range(len(labels))], labels, *columns.values(), strict=True))
    return path


def texts_of(names, seed=0):
    random = np.random.default_rng(seed)
    return [f"{random.choice(WORDS[name])} film {i}" for i, name in enumerate(names)]


def good_classifier(folder, classes=("pos", "neg"), **settings):
    """A sentence classifier that is always right: its embedding of a word says the class, which the head reads off."""
    tokenizer = build_word_tokenizer([" ".join([*WORDS["neg"], *WORDS["pos"], "film"])])
    names = {"id2label": dict(enumerate(classes)), "label2id": {name: i for i, name in enumerate(classes)}}
    model = tiny_model(
        "bert",
        vocab_size=len(tokenizer),
        num_labels=len(classes),
        pad_token_id=tokenizer.pad_token_id,
        **names,
        **settings,
    )
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    rows = tokenizer([f"{word} film 0" for name in ("pos", "neg") for word in WORDS[name]], return_tensors="pt")
    with torch.no_grad():
        pooled = model.bert(**rows).pooler_output
        solved = torch.linalg.lstsq(torch.cat([pooled, torch.ones(6, 1)], 1), torch.tensor([[4.0]] * 3 + [[-4.0]] * 3))
        model.classifier.weight.zero_()
        model.classifier.bias.zero_()
        for row, sign in ((0, 1), (1, -1)):
            model.classifier.weight[row] = sign * solved.solution[:-1, 0]
            model.classifier.bias[row] = sign * solved.solution[-1, 0]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def arguments(tmp_path, model, **settings):
    settings = {
        "model_name_or_path": str(model), "train_file": str(tmp_path / "train.csv"), "learning_rate": "1e-9",
        "validation_file": str(tmp_path / "validation.csv"), "num_train_epochs": 1, "output_dir": str(tmp_path / "out"),
        **PLAIN, "eval_strategy": "no", **settings,
    }  # fmt: skip
    return parse_arguments(Recipe("mine", settings), "no_mixup", [])


def start_from(tmp_path, model, **settings):
    """The model as training starts from it, the prepared data, and its accuracy on validation before any step."""
    run_arguments = arguments(tmp_path, model, **settings)
    prepared = prepare(run_arguments)
    trainer = Run(run_arguments, "no_mixup").build_trainer(prepared)
    prediction = trainer.predict(prepared.splits["validation"])
    return trainer.model, prepared, (prediction.predictions.argmax(1) == prediction.label_ids).mean()


def data_of(tmp_path, names, labels=None):
    names = names * 10
    labels = names if labels is None else labels * 10
    for split in ("train", "validation"):
        write(tmp_path / f"{split}.csv", labels, texts_of(names))


def hint_of(message):
    """What stands behind the first --label_map of a message, as a shell reads it."""
    typed = message.split("--label_map ", 1)[1].split("; ")[0].rstrip(".")
    if "$'" in typed:
        return subprocess.run(
            ["bash", "-c", f"printf '%s\\0' {typed}"], capture_output=True, text=True, check=True
        ).stdout.split("\0")[:-1]
    return shlex.split(typed)


# Training on from a classifier


@pytest.mark.parametrize("lora_rank", [0, 2], ids=["whole", "lora"])
@pytest.mark.parametrize("classes", [("pos", "neg"), ("POS", "Neg")])
def test_the_same_classes_keep_the_models_order_and_its_head(tmp_path, caplog, classes, lora_rank):
    """The data's names are sorted neg, pos; the head's rows are pos, neg."""
    if lora_rank:
        pytest.importorskip("peft")
    good_classifier(tmp_path / "model", classes)
    data_of(tmp_path, ["neg", "pos"])
    model, prepared, accuracy = start_from(tmp_path, tmp_path / "model", lora_rank=lora_rank)
    assert prepared.label_names == ["pos", "neg"]
    assert model.config.id2label == {0: "pos", 1: "neg"}
    assert accuracy == 1.0
    assert "whose head goes on: 0 pos, 1 neg" in caplog.text


def test_accuracy_is_the_same_before_and_after_training_on_and_evaluate_agrees(tmp_path, capsys):
    good_classifier(tmp_path / "model")
    data_of(tmp_path, ["neg", "pos"])
    (tmp_path / "r.yaml").write_text(
        json.dumps(
            {
                **PLAIN, "model_name_or_path": str(tmp_path / "model"), "train_file": str(tmp_path / "train.csv"),
                "validation_file": str(tmp_path / "validation.csv"), "num_train_epochs": 1, "learning_rate": 1e-9,
                "output_dir": str(tmp_path / "out"),
            }
        )
    )  # fmt: skip
    cli.main(["train", str(tmp_path / "r.yaml")])
    run = tmp_path / "out" / "no_mixup" / "seed-0"
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["label_names"] == ["pos", "neg"]
    assert metrics["rows"][0]["accuracy"] == 1.0
    capsys.readouterr()
    cli.main(["evaluate", str(tmp_path / "model"), "--validation_file", str(tmp_path / "validation.csv"), "--json"])
    assert json.loads(capsys.readouterr().out)["rows"][0]["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("classes", "labels", "names", "hint"),
    [
        (("bad", "good"), ["neg", "pos"], ["neg", "pos"], ["neg=bad", "pos=good"]),
        (("pos", "neg"), [0, 1], ["0", "1"], ["0=pos", "1=neg"]),
        (("pos", "bad"), ["neg", "pos"], ["neg", "pos"], ["neg=bad"]),
        (("LABEL_0", "LABEL_1"), ["neg", "pos"], ["neg", "pos"], ["neg=LABEL_0", "pos=LABEL_1"]),
    ],
)
def test_other_names_get_a_new_head_and_the_hint_keeps_the_old_one(tmp_path, caplog, classes, labels, names, hint):
    old = good_classifier(tmp_path / "model", classes).classifier.weight
    data_of(tmp_path, ["neg", "pos"], labels)
    model, prepared, _ = start_from(tmp_path, tmp_path / "model")
    assert prepared.label_names == names
    assert "The head is new" in caplog.text
    assert not torch.isclose(model.classifier.weight, old).any()
    assert model.classifier.weight.std() < 0.05  # BERT draws its weights with .02
    (told,) = [record.message for record in caplog.records if "The head is new" in record.message]
    assert hint_of(told) == hint
    caplog.clear()
    model, prepared, _ = start_from(tmp_path, tmp_path / "model", label_map=hint)
    assert "The head is new" not in caplog.text
    torch.testing.assert_close(model.classifier.weight, old)


def test_numbers_are_a_models_ids_where_neither_has_names_or_where_it_is_said(tmp_path):
    old = good_classifier(tmp_path / "plain", ("LABEL_0", "LABEL_1")).classifier.weight
    data_of(tmp_path, ["neg", "pos"], [1, 0])
    model, prepared, accuracy = start_from(tmp_path, tmp_path / "plain")
    torch.testing.assert_close(model.classifier.weight, old)
    assert (prepared.label_names, accuracy) == (["0", "1"], 1.0)
    good_classifier(tmp_path / "named")
    model, prepared, accuracy = start_from(tmp_path, tmp_path / "named", label_map=["identity"])
    assert (prepared.label_names, accuracy) == (["pos", "neg"], 1.0)
    # Which is which, said of a model without names: the data's names are kept, under the model's ids.
    data_of(tmp_path, ["neg", "pos"])
    model, prepared, accuracy = start_from(tmp_path, tmp_path / "plain", label_map=["neg=1", "pos=0"])
    assert (prepared.label_names, accuracy) == (["pos", "neg"], 1.0)


def test_another_number_of_classes_gets_a_new_head(tmp_path, caplog):
    good_classifier(tmp_path / "model", ("pos", "neg", "neutral"))
    data_of(tmp_path, ["neg", "pos"])
    model, prepared, _ = start_from(tmp_path, tmp_path / "model")
    assert (prepared.label_names, model.config.num_labels) == (["neg", "pos"], 2)
    assert "was trained for 0 pos, 1 neg, 2 neutral; the data's classes are 0 neg, 1 pos" in caplog.text


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression"])
def test_a_head_of_another_problem_is_new_and_training_goes_on(tmp_path, caplog, problem):
    classes = ("pos", "neg") if problem[0] == "m" else ("LABEL_0", "LABEL_1")
    old = good_classifier(tmp_path / "model", classes, problem_type=problem).classifier.weight
    data_of(tmp_path, ["neg", "pos"])
    model, _, _ = start_from(tmp_path, tmp_path / "model")
    assert model.config.problem_type == "single_label_classification"
    assert not torch.isclose(model.classifier.weight, old).any()
    assert f"was trained for {problem.replace('_', ' ')}" in caplog.text


def vit(folder, classes):
    torch.manual_seed(0)
    names = {"id2label": dict(enumerate(classes)), "label2id": {name: i for i, name in enumerate(classes)}}
    config = ViTConfig(
        image_size=16, patch_size=4, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, **names
    )  # fmt: skip
    model = ViTForImageClassification(config).eval()
    model.save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    return model


@pytest.mark.parametrize(("classes", "kept"), [(("bee", "ant"), True), (("wasp", "ant"), False)])
def test_images_train_on_alike(tmp_path, caplog, classes, kept):
    old = vit(tmp_path / "model", classes).classifier.weight
    data = write_images(tmp_path / "data", n=8)
    settings = {"task": "image", "train_file": None, "validation_file": None, "dataset_name": str(data)}
    run_arguments = arguments(tmp_path, tmp_path / "model", **settings)
    prepared = prepare(run_arguments)
    model = prepared.load_model(run_arguments.model)
    assert prepared.label_names == (["bee", "ant"] if kept else ["ant", "bee"])
    files = sorted((data / "validation").rglob("*.png"))
    assert [prepared.label_names[row["labels"]] for row in prepared.splits["validation"]] == [
        f.parent.name for f in files
    ]
    assert torch.equal(model.classifier.weight, old) == kept
    assert ("The head is new" in caplog.text) != kept


# A model's own names


@pytest.mark.parametrize(
    ("id2label", "message"),
    [
        (["pos", "neg"], 'id2label is a list; accepted is a mapping of 0 to K-1 to names. Write {"0": "pos", "1": "neg"} for it.'),
        ({"1": "pos", "2": "neg"}, 'has the keys 1, 2; accepted is a mapping of 0 to K-1 to names. If the head\'s rows are in'),
        ({"neg": 1, "pos": 0}, 'id2label has the keys neg, pos; accepted is a mapping of 0 to K-1 to names. Write {"0": "pos"'),
    ],
)  # fmt: skip
def test_names_that_are_no_mapping_are_one_line_with_the_file(tmp_path, capsys, id2label, message):
    good_classifier(tmp_path / "model")
    data_of(tmp_path, ["neg", "pos"])
    file = tmp_path / "model" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"id2label": id2label}))
    with pytest.raises(SystemExit):
        cli.main(["evaluate", str(tmp_path / "model"), "--validation_file", str(tmp_path / "validation.csv")])
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"nlp-mixup: error: {file}: id2label")
    assert message in line
    with pytest.raises(ValueError, match="id2label") as raised:
        prepare(arguments(tmp_path, tmp_path / "model"))
    assert f"{file}: id2label" in str(raised.value)
    if "Write" in line:  # what it says to write works
        written = json.loads(line.split("Write ")[1].split(" for it")[0])
        assert class_names({"id2label": written}, "config.json") == ["pos", "neg"]


def test_a_head_of_another_size_than_the_configuration(tmp_path, capsys):
    good_classifier(tmp_path / "model")
    data_of(tmp_path, ["neg", "pos"])
    file = tmp_path / "model" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"id2label": {"0": "pos", "1": "neg", "2": "neutral"}}))
    with pytest.raises(SystemExit):
        cli.main(["evaluate", str(tmp_path / "model"), "--validation_file", str(tmp_path / "validation.csv")])
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"classifier.bias has the shape (2,) in its weights and (3,) by {file}. Mend id2label there" in line


@pytest.mark.parametrize("lora_rank", [0, 2], ids=["whole", "lora"])
@pytest.mark.parametrize(("rows", "named"), [(2, 3), (3, 2)])
def test_a_head_of_another_size_than_the_configuration_is_not_trained_on_from(tmp_path, rows, named, lora_rank):
    if lora_rank:
        pytest.importorskip("peft")
    classes = ["pos", "neg", "neutral"]
    good_classifier(tmp_path / "model", classes[:rows])
    file = tmp_path / "model" / "config.json"
    names = dict(enumerate(classes[:named]))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"id2label": names}))
    data_of(tmp_path, ["neg", "pos", "pos"][:named], classes[:named])
    with pytest.raises(ValueError) as refused:
        start_from(tmp_path, tmp_path / "model", lora_rank=lora_rank)
    assert f"has the shape ({rows},) in its weights and ({named},) by {file}. Mend id2label there" in str(refused.value)


def test_a_head_that_is_named_and_not_there_is_not_trained_on_from(tmp_path):
    good_classifier(tmp_path / "model")
    data_of(tmp_path, ["neg", "pos"])
    weights = load_file(tmp_path / "model" / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, tmp_path / "model" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"its weights lack classifier\.weight, which would be random"):
        start_from(tmp_path, tmp_path / "model")


# Labels of files


def load(tmp_path, train, validation=None, **settings):
    return load_text_data(
        DataArguments(
            train_file=str(write(tmp_path / "train.csv", train)),
            validation_file=str(write(tmp_path / "validation.csv", validation or train)),
            **settings,
        )
    )


@pytest.mark.parametrize(
    ("labels", "told", "n_classes"),
    [
        ([-1, 0, 1], "If -1 marks rows without a label, write -100", 3),
        ([1, 2, 3], "accepted are whole numbers from 0 without a gap", 3),
        (
            ["pos", "pos ", "Pos", "neg"],
            "differ by blanks, case or Unicode form alone: 'Pos' (2 rows), 'pos' (2 rows)",
            2,
        ),
        (["pos", "pos\u00a0", "neg"], r"'pos' (2 rows), 'pos\xa0' (2 rows)", 2),
        (["caf\u00e9", "cafe\u0301", "neg"], r"'cafe\u0301' (2 rows), 'café' (2 rows)", 2),
        (["TRUE", "True", "False"], "'TRUE' (2 rows), 'True' (2 rows)", 2),
        (["['a', 'b']", "['a']", "c"], "look like lists of several: \"['a', 'b']\", \"['a']\"", 3),
        (["a|b", "a", "b"], "look like lists of several: 'a|b'", 3),
    ],
)
def test_labels_that_need_a_word_and_the_hint_that_mends_them(tmp_path, labels, told, n_classes):
    labels = labels * 2
    with pytest.raises(ValueError, match="--label_map") as raised:
        load(tmp_path, labels)
    message = str(raised.value)
    assert message.startswith(str(tmp_path / "train.csv"))
    assert told in message
    # As a command line has it.
    typed = ["--label_map", *hint_of(message), "--train_file", "t.csv"]
    parsed = parse_arguments(Recipe("mine", {}), "no_mixup", typed).data
    assert parsed.train_file == "t.csv"
    data = load(tmp_path, labels, label_map=parsed.label_map)
    assert data.num_labels == n_classes
    if "; if not, " in message:  # the other way: names that can be told apart
        apart = load(tmp_path, labels, label_map=hint_of(message.split("; if not, ")[1]))
        assert apart.num_labels == len(set(labels))


def test_a_label_below_zero_is_mapped_alike_in_training_and_evaluation(tmp_path, capsys):
    good_classifier(tmp_path / "model")
    data_of(tmp_path, ["neg", "pos"], [-1, 1])
    rows = ["evaluate", str(tmp_path / "model"), "--validation_file", str(tmp_path / "validation.csv"), "--json"]
    with pytest.raises(SystemExit):
        cli.main(rows)
    assert hint_of(capsys.readouterr().err.splitlines()[-1]) == ["-1=pos", "1=neg"]
    mapped = ["--label_map", "-1=neg", "1=pos"]
    cli.main([*rows, *mapped])
    assert json.loads(capsys.readouterr().out)["rows"][0]["accuracy"] == 1.0
    _, prepared, accuracy = start_from(tmp_path, tmp_path / "model", label_map=mapped[1:])
    assert (prepared.label_names, accuracy) == (["pos", "neg"], 1.0)


def test_a_label_map_names_joins_and_is_told_where_it_names_nothing(tmp_path, caplog):
    data = load(tmp_path, [5, 1, 2, 5], label_map=["1=low", "2==low", "5=high", "7=none"])
    assert data.label_names == ["low", "high"]  # numbers keep their order
    assert data.splits["train"]["label"][:] == [1, 0, 0, 1]
    assert "no row has the label '7'" in caplog.text
    with pytest.raises(ValueError, match=r"'==': --label_map 1=low 5=high 2==low"):
        load(tmp_path, [5, 1, 2, 5], label_map=["1=low", "2=low", "5=high"])
    with pytest.raises(ValueError, match="leaves out 2; which is which cannot be known") as raised:
        load(tmp_path, [5, 1, 2, 5], label_map=["1=low", "5=high"])
    assert load(tmp_path, [5, 1, 2, 5], label_map=hint_of(str(raised.value))).num_labels == 3


@pytest.mark.parametrize(
    ("train", "validation", "told"),
    [
        ([0, 1], [0, 2], "'2' (1 rows). Train has: 0, 1"),
        (["a", "b"], ["a", "B"], "if they are one class: --label_map B==b"),
        ([0, 2**63], [0, 1], "train.csv: column 'label' holds numbers beyond 64 bits: 9223372036854775808."),
        ([0, 1], [0, 10**30], "validation.csv: column 'label' holds numbers beyond 64 bits: 1000000000000000000"),
    ],
)
def test_labels_out_of_range_in_any_split_are_found_before_training(tmp_path, train, validation, told):
    with pytest.raises(ValueError) as raised:
        load(tmp_path, train, validation)
    assert told in str(raised.value)
    assert str(tmp_path / ("train.csv" if 2**63 in train else "validation.csv")) in str(raised.value)
    lines = [json.dumps({"text": "a", "label": label}) for label in train]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    if 2**63 in train:
        with pytest.raises(
            ValueError, match=r"train.jsonl: column 'label' holds numbers beyond 64 bits: 9223372036854775808"
        ):
            load_text_data(DataArguments(train_file=str(tmp_path / "train.jsonl")))
    if "--label_map" in told:
        assert load(tmp_path, train, validation, label_map=hint_of(str(raised.value))).num_labels == 2


def test_names_that_a_split_gives_its_own_numbers_count(tmp_path):
    train = write(tmp_path / "train.csv", [0, 1], label_name=["neg", "pos"])
    validation = write(tmp_path / "validation.csv", [0, 1], label_name=["pos", "neg"])
    data = load_text_data(DataArguments(train_file=str(train), validation_file=str(validation)))
    assert data.splits["validation"]["label"][:] == [1, 0]


# Rows without a label


@pytest.mark.parametrize("labels", [[0, 1, -100, 1], ["a", "b", "-100", "b"]])
def test_a_row_whose_label_is_minus_100_is_left_out_and_counted(tmp_path, caplog, labels):
    data = load(tmp_path, labels)
    assert (data.num_labels, data.splits["train"]["text"][:]) == (2, ["row 0", "row 1", "row 3"])
    assert f"{tmp_path / 'train.csv'}: 1 of 4 rows have no label (-100) and are left out." in caplog.text
    with pytest.raises(ValueError, match=r"train.csv: all 2 rows are without a label \(-100\)"):
        load(tmp_path, [-100, -100], labels)


def test_evaluation_leaves_the_same_rows_out(tmp_path, capsys):
    good_classifier(tmp_path / "model")
    names = ["neg", "pos"] * 20
    labels = [-100 if i < 4 else int(name == "neg") for i, name in enumerate(names)]
    file = write(tmp_path / "rows.csv", labels, texts_of(names))
    command = ["evaluate", str(tmp_path / "model"), "--test_file", str(file), "--label_map", "identity", "--json"]
    cli.main(command)
    record = json.loads(capsys.readouterr().out)
    assert (record["rows"][0]["n"], record["rows"][0]["accuracy"]) == (36, 1.0)
    assert f"{file}: 4 of 40 rows have no label (-100) and are left out." in record["notes"]
    write(file, [-100] * 4)
    with pytest.raises(SystemExit):
        cli.main(command)
    assert "No labelled rows are left" in capsys.readouterr().err


@pytest.mark.parametrize("streaming", [False, True])
def test_images_without_a_label_are_left_out(tmp_path, streaming):
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import ClassLabel, Features
    from datasets import Image as ImageFeature
    from PIL import Image

    vit(tmp_path / "model", ("bee", "ant"))
    schema = Features({"image": ImageFeature(), "label": ClassLabel(names=["ant", "bee"])}).arrow_schema
    (tmp_path / "data").mkdir()
    for split in ("train", "validation"):
        images, labels = [], [0, 1, -100, 1, 0, -100]
        for row in range(6):
            file = io.BytesIO()
            Image.fromarray(np.full((16, 16, 3), 40 * row + (split == "train"), np.uint8)).save(file, format="png")
            images.append({"bytes": file.getvalue(), "path": None})
        table = pa.table({"image": pa.array(images, schema.field("image").type), "label": pa.array(labels, pa.int64())})
        pq.write_table(table.cast(schema), tmp_path / "data" / f"{split}.parquet")
    settings = {"task": "image", "train_file": None, "validation_file": None, "dataset_name": str(tmp_path / "data")}
    if streaming:
        settings |= {"streaming": "true", "max_steps": 2, "image_size": 16}
    prepared = prepare(arguments(tmp_path, tmp_path / "model", **settings))
    assert prepared.label_names == ["bee", "ant"]
    assert [row["labels"] for row in prepared.splits["validation"]] == [1, 0, 0, 1]
    if streaming:
        rows = iter(prepared.splits["train"])
        assert sorted(next(rows)["labels"] for _ in range(4)) == [0, 0, 1, 1]
    else:
        assert [row["labels"] for row in prepared.splits["train"]] == [1, 0, 0, 1]
