"""``accelerate launch`` of the command line: two processes give one process's table, files and printed lines."""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import TINY
from launches import run_launch
from text_files import write_csv
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast, set_seed

from nlp_mixup import cli

ROWS = {"train": 128, "validation": 61, "test": 79}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same comparison in one process with batches of 16, and in two with batches of 8; a BERT without dropout."""
    folder = tmp_path_factory.mktemp("launch")
    for seed, (split, n) in enumerate(ROWS.items()):
        write_csv(folder / f"{split}.csv", n, seed)
    _save_tiny_bert(folder / "bert")
    settings = {
        **{f"{split}_file": f"{split}.csv" for split in ROWS}, "model_name_or_path": "bert", "num_train_epochs": 2,
        "learning_rate": "1e-3", "mixup_alpha": 0.4, "use_cpu": True, "seeds": [0],
        "arms": {"no_mixup": {"mixup_alpha": 0}, "mixup": {}},
    }  # fmt: skip
    (folder / "tiny.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    config = Path(__file__).parents[2] / "examples" / "accelerate_configs" / "cpu_2_processes.yaml"
    command = ["compare", "tiny.yaml", "--output_dir"]
    printed = {}
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "160")
        patch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "cache")
        cli.main([*command, "one", "--per_device_train_batch_size", "16"])
        printed["one"] = said.getvalue()
    done = run_launch(
        [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config), "-m", "nlp_mixup",
         *command, "two", "--per_device_train_batch_size", "8"],
        env=os.environ | {
            "OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(folder / "cache"), "COLUMNS": "160",
            "PYTHONPATH": os.pathsep.join([os.path.dirname(os.path.dirname(cli.__file__)), os.environ.get("PYTHONPATH", "")]),
        },
        cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    printed["two"] = done.stdout
    return folder, printed


def _save_tiny_bert(folder):
    """A BERT without dropout, so that processes need no common random numbers; with a tokenizer of the texts' words."""
    words = ["fine", "great", "nice", "superb", "poor", "awful", "dull", "weak", "film", "plot", "a", "the", "very"]
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", *words])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    set_seed(0)
    config = BertConfig(**TINY | {"pad_token_id": 0, "num_labels": 2, "classifier_dropout": 0.0})
    BertForSequenceClassification(config).save_pretrained(folder)


def _metrics(folder, arm):
    return json.loads((folder / arm / "seed-0" / "metrics.json").read_text())["rows"]


def test_two_processes_give_the_table_of_one(runs):
    """Without mixup: pairs are drawn within a process, so the mixed arm has other pairs, and is replayed elsewhere."""
    folder, _ = runs
    one, two = (_metrics(folder / name, "no_mixup") for name in ("one", "two"))
    assert [row["split"] for row in two] == ["validation", "validation", "test", "test"]
    for alone, shared in zip(one, two, strict=True):
        assert alone.keys() == shared.keys()
        for name, value in alone.items():
            # A temperature magnifies what the logits differ by.
            tolerance = 1e-6 if alone["calibration"] == "raw" else 1e-4
            assert shared[name] == (value if isinstance(value, str) else pytest.approx(value, abs=tolerance, rel=1e-4))
    for split in ("validation", "test"):
        stored = [np.load(folder / name / "no_mixup" / "seed-0" / f"logits-{split}.npz") for name in ("one", "two")]
        np.testing.assert_array_equal(stored[0]["labels"], stored[1]["labels"])
        np.testing.assert_allclose(stored[0]["logits"], stored[1]["logits"], atol=1e-6)


@pytest.mark.parametrize("arm", ["no_mixup", "mixup"])
def test_evaluation_is_gathered_without_duplicates(runs, arm):
    """61 and 79 rows do not divide by the processes: the rows that fill up the last batch must not be counted."""
    folder, _ = runs
    assert {row["split"]: row["n"] for row in _metrics(folder / "two", arm)} == {"validation": 61, "test": 79}
    assert np.load(folder / "two" / arm / "seed-0" / "epochs.npz")["confidence"].shape == (2, 61)
    history = (folder / "two" / arm / "seed-0" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in history] == [1, 2]


def test_files_are_written_once_and_output_is_printed_once(runs):
    folder, printed = runs
    names = [
        sorted(path.relative_to(folder / n).as_posix() for path in (folder / n).rglob("*")) for n in ("one", "two")
    ]
    assert names[0] == names[1]
    assert printed["two"].count("[1/2] no_mixup, seed 0") == printed["two"].count("[2/2] mixup, seed 0") == 1
    # The numbers of the mixed arm differ, the lines do not: their first words are the same.
    lines = [
        [line.replace(f"{name}/", "").split()[:2] for line in printed[name].splitlines()] for name in ("one", "two")
    ]
    assert lines[1] == lines[0]
