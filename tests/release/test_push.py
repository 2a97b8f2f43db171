"""The whole way to the Hub and back, against a server on loopback; only HF_ENDPOINT differs from the real thing."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from run_folders import texts_of, write_run

TESTS = Path(__file__).parents[1]
TOKEN = "hf_aTokenOnlyForThisTestAAAAAAAAAAAA"
HOSTILE = [
    "]]></script><img src=x onerror=alert(1)>", "---\n", "| a |", "`rm -rf`", "key: [value, {a: *b}] # no", "\u202eevil\u202c",
    "[click](javascript:alert(1))", "two\n\nparagraphs\n# heading", "{{ 7 * 7 }}{% raw %}", "www.example.com <b>",
]  # fmt: skip


class Server:
    """The stub Hub as a test sees it."""

    def __init__(self, process):
        self.process = process
        self.url = f"http://127.0.0.1:{int(process.stdout.readline())}"

    def _post(self, path, content):
        request = urllib.request.Request(self.url + path, json.dumps(content).encode(), method="POST")
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    def faults(self, *faults):
        for method, path, times, do in faults:
            assert times > 0, (method, path, do)
        return self._post(
            "/_faults", [dict(zip(("method", "path", "times", "do"), fault, strict=True)) for fault in faults]
        )

    def state(self):
        return self._post("/_state", None)

    def files(self, repo, branch="main"):
        stored = self.state()["repos"][repo]["branches"][branch]
        return {path: base64.b64decode(data) for path, data in stored.items() if path != ".gitattributes"}


class Client:
    """A process that uses the stub Hub."""

    def __init__(self, url, home):
        environment = {
            **os.environ, "HF_ENDPOINT": url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(home),
            "HF_TOKEN": TOKEN, "OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }  # fmt: skip
        environment.pop("HF_HUB_ETAG_TIMEOUT", None)
        self.process = subprocess.Popen(
            [sys.executable, str(TESTS / "hub_client.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=home,
        )  # fmt: skip
        self.said = []

    def run(self, code, **env):
        print(json.dumps({"code": code, "env": env}), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        self.said.append(answer["out"] + answer["err"] + (answer["error"] or ""))
        return answer

    def result(self, code, **env):
        answer = self.run(code, **env)
        assert answer["error"] is None, answer["error"]
        return answer["result"]

    def push(self, *arguments, **env):
        return self.run(f"from nlp_mixup import cli\ncli.main(['push', *{[str(a) for a in arguments]!r}])", **env)


@pytest.fixture(scope="module")
def server():
    with subprocess.Popen(
        [sys.executable, str(TESTS / "hub_server.py"), TOKEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Server(process)
        process.stdin.close()


@pytest.fixture(scope="module")
def author(server, tmp_path_factory):
    """Somebody with nlp_mixup, who publishes."""
    client = Client(server.url, tmp_path_factory.mktemp("author"))
    yield client
    client.process.stdin.close()
    client.process.wait()


@pytest.fixture(scope="module")
def reader(server, tmp_path_factory):
    """Somebody with transformers and evaluate alone, who loads."""
    client = Client(server.url, tmp_path_factory.mktemp("reader"))
    client.run("import sys\nsys.modules['nlp_mixup'] = None")
    yield client
    client.process.stdin.close()
    client.process.wait()


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "secret-person" / "runs" / "mixup" / "seed-0"
    write_run(folder)
    return folder


def snapshot(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and "release" not in path.relative_to(folder).parts[0]
    }


LOAD = """
import torch, sys
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
model = AutoModelForSequenceClassification.from_pretrained({repo!r}, **{options!r}).eval()
tokenizer = AutoTokenizer.from_pretrained({repo!r}, **{options!r})
batch = tokenizer({texts!r}, padding=True, return_tensors="pt")
with torch.no_grad():
    logits = model(**{{name: batch[name] for name in {names!r}}}).logits
classifier = pipeline("text-classification", model={repo!r}, **{options!r})
scores = [[{{k: v for k, v in entry.items()}} for entry in row] for row in classifier({texts!r}, top_k=None)]
result = {{"logits": logits.tolist(), "scores": scores, "calibration": model.config.calibration,
          "class": type(model).__module__, "package": sys.modules["nlp_mixup"] is not None}}
"""


def expected_logits(model, tokenizer, texts, names, temperature):
    """The logits of the run's model with its last layer divided by T, by hand."""
    import torch

    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        model.classifier.weight.copy_(model.classifier.weight * (1 / temperature))
        model.classifier.bias.copy_(model.classifier.bias * (1 / temperature))
        return model(**{name: batch[name] for name in names}).logits


@pytest.mark.parametrize(
    ("kind", "names", "options"),
    [("bert", ["input_ids", "attention_mask"], {}), ("text-cnn", ["input_ids"], {"trust_remote_code": True})],
)
def test_pushed_and_loaded_by_somebody_else_it_is_the_same_and_calibrated(
    kind, names, options, server, author, reader, tmp_path
):
    repo = f"me/{kind}-there-and-back"
    model, tokenizer, _ = write_run(tmp_path / "run", kind)
    pushed = author.push(tmp_path / "run", repo)
    assert pushed["error"] is None, pushed["error"]
    assert pushed["status"] is None, pushed["err"]
    assert f"Published: {server.url}/{repo}/commit/" in pushed["out"]

    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    temperature = metrics["temperature"]["value"]
    texts = texts_of(40, 9)
    loaded = reader.result(LOAD.format(repo=repo, options=options, texts=texts, names=names))
    expected = expected_logits(model, tokenizer, texts, names, temperature)
    assert loaded["logits"] == expected.tolist()
    assert loaded["calibration"]["temperature"] == temperature
    assert loaded["package"] is False
    assert loaded["class"].startswith("transformers_modules" if options else "transformers.models.bert")

    probabilities = expected.softmax(1).tolist()
    labels = model.config.id2label
    for row, scores in zip(probabilities, loaded["scores"], strict=True):
        assert {entry["label"]: entry["score"] for entry in scores} == pytest.approx(
            {labels[index]: probability for index, probability in enumerate(row)}, abs=1e-6
        )

    # The card's numbers are those of the loaded model on the stored rows.
    card = ModelCard(server.files(repo)["README.md"].decode())
    index = {result.metric_type: result for result in card.data.eval_results}
    test = next(row for row in metrics["rows"] if (row["split"], row["calibration"]) == ("test", "temperature"))
    for name, score in {"ece": "ece", "oe": "oe", "nll": "nll", "accuracy": "accuracy", "brier_score": "brier"}.items():
        assert index[name].metric_value == round(test[score], 6)
        assert index[name].dataset_split == "test"
    assert index["ece"].metric_args["n_bins"] == 15
    assert "closed on the right" in index["ece"].metric_args["bin_edges"]
    raw = next(row for row in metrics["rows"] if (row["split"], row["calibration"]) == ("test", "raw"))
    assert f"{raw['ece']:.3f} (" in card.text
    assert f"{test['ece']:.3f} (" in card.text
    assert ("trust_remote_code" in card.text) == bool(options)
    assert test["ece"] < raw["ece"] / 2  # what the temperature is for


def test_evaluate_of_a_pushed_model_gives_the_numbers_of_its_card(server, author, tmp_path):
    _, _, stored = write_run(tmp_path / "run")
    assert author.push(tmp_path / "run", "me/judged")["status"] is None
    names = ("bad", "good", "so-so")
    lines = [f"{text},{names[label]}" for text, label in zip(texts_of(600, 2), stored["test"][1], strict=True)]
    (tmp_path / "test.csv").write_text("\n".join(["text,label", *lines]))
    command = ["evaluate", "me/judged", "--test_file", str(tmp_path / "test.csv"), "--json", "--use_cpu"]
    judged = author.run(f"from nlp_mixup import cli\ncli.main({command!r})")
    assert judged["error"] is None, judged["error"]
    assert judged["status"] is None, judged["err"]
    record = json.loads(judged["out"])
    found = record["rows"][0]
    assert (found["calibration"], found["n"], found["n_bins"]) == ("raw", 600, 15)
    card = ModelCard(server.files("me/judged")["README.md"].decode())
    index = {result.metric_type: result.metric_value for result in card.data.eval_results}
    for name, score in {"accuracy": "accuracy", "nll": "nll", "ece": "ece", "oe": "oe", "brier_score": "brier"}.items():
        assert found[score] == pytest.approx(index[name], abs=2e-6), name  # the card has six decimals
    temperature = json.loads((tmp_path / "run" / "metrics.json").read_text())["temperature"]["value"]
    told = f"This model's weights carry a temperature of {temperature:.3f}, fitted on 400 validation rows."
    assert record["notes"][0].startswith(told)


LOAD_IMAGES = """
import sys, torch
import numpy as np
from PIL import Image
from transformers import AutoModelForImageClassification, pipeline
from transformers.models.auto.image_processing_auto import AutoImageProcessor
model = AutoModelForImageClassification.from_pretrained({model!r}, **{options!r}).eval()
processor = AutoImageProcessor.from_pretrained({model!r}, **{options!r})
images = [Image.fromarray(pixels) for pixels in np.random.default_rng(0).integers(0, 256, (4, 20, 24, 3), np.uint8)]
with torch.no_grad():
    logits = model(**processor(images, return_tensors="pt")).logits
classifier = pipeline("image-classification", model={model!r}, **{options!r})
result = {{
    "logits": logits.tolist(), "calibration": getattr(model.config, "calibration", None), "class": type(model).__module__,
    "scores": [{{entry["label"]: entry["score"] for entry in row}} for row in classifier(images, top_k=10)],
}}
"""


def test_a_built_in_image_model_is_pushed_with_its_code_and_loaded_by_somebody_else(server, author, reader, tmp_path):
    settings = ["--output_dir", "digits", "--num_train_epochs", "1", "--noise_samples", "32", "--use_cpu", "true"]
    command = ["train", "digits-quickstart", "--arm", "mixup", *settings, "--disable_tqdm", "true"]
    trained = author.run(f"from nlp_mixup import cli\ncli.main({command!r})")
    assert trained["error"] is None, trained["error"]
    assert trained["status"] is None, trained["err"]
    stored = author.result("import json\nresult = json.load(open('digits/mixup/seed-0/metrics.json'))")
    assert stored["local"] == []
    assert set(stored["versions"]) == {"torch", "transformers"}
    pushed = author.push("digits/mixup/seed-0", "me/digits")
    assert pushed["error"] is None, pushed["error"]
    assert pushed["status"] is None, pushed["err"]
    files = server.files("me/digits")
    assert {"image_cnn.py", "config.json", "model.safetensors", "preprocessor_config.json", "README.md"} <= set(files)

    loaded = reader.result(LOAD_IMAGES.format(model="me/digits", options={"trust_remote_code": True}))
    assert loaded["class"].startswith("transformers_modules")
    ours = author.result(
        "import nlp_mixup.vision.models.image_cnn\n" + LOAD_IMAGES.format(model="digits/mixup/seed-0/model", options={})
    )
    divisor = loaded["calibration"]["temperature"] if loaded["calibration"] else 1.0
    assert np.array(loaded["logits"]) * divisor == pytest.approx(np.array(ours["logits"]), rel=1e-5, abs=1e-6)
    for row, logits in zip(loaded["scores"], loaded["logits"], strict=True):
        expected = np.exp(logits) / np.exp(logits).sum()
        assert [row[str(digit)] for digit in range(10)] == pytest.approx(expected.tolist(), abs=1e-6)
    again = reader.run(LOAD_IMAGES.format(model="me/digits", options={"trust_remote_code": True, "revision": "main"}))
    assert again["error"] is None, again["error"]

    card = files["README.md"].decode()
    assert 'pipeline("image-classification", model="me/digits", trust_remote_code=True)' in card
    assert "`import nlp_mixup.vision.models.image_cnn`" in " ".join(card.split())
    assert "Deep Residual Learning" in card
    assert "Sentence Classification" not in card
    assert "- starting point: weights drawn at random" in card
    assert "20% were redrawn at random" in card
    assert "huggingface.co/datasets" not in card
    assert not {"base_model", "datasets"} & set(ModelCard(card).data.to_dict())


def test_a_second_release_of_one_architecture_loads_beside_the_first(server, author, reader):
    """Each commit brings the code anew, as another module of the same names."""
    assert author.push("digits/mixup/seed-0", "me/digits-again")["status"] is None
    loaded = reader.run(LOAD_IMAGES.format(model="me/digits-again", options={"trust_remote_code": True}))
    assert loaded["error"] is None, loaded["error"]


def test_a_dry_run_uploads_nothing_and_lists_exactly_what_is_then_uploaded(server, author, run):
    listed = author.push(run, "me/listed", "--revision", "v1", "--dry-run", HF_TOKEN=None)  # needs no token
    assert listed["error"] is None, listed["error"]
    assert listed["status"] is None, listed["err"]
    assert "me/listed" not in server.state()["repos"]
    assert "Nothing was uploaded" in listed["out"]
    sizes = {}
    for line in listed["out"].splitlines():
        if " bytes  " in line:
            size, name = line.split(" bytes  ")
            sizes[name] = int(size.replace(",", ""))
    pushed = author.push(run, "me/listed", "--private", "--revision", "v1")
    assert pushed["status"] is None, pushed["err"]
    files = server.files("me/listed", "v1")
    assert sizes == {name: len(content) for name, content in files.items()}
    assert set(files) == {
        "README.md", "arguments.yaml", "config.json", "model.safetensors", "reliability.png", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    assert server.files("me/listed", "main") == {}
    assert server.state()["repos"]["me/listed"]["private"] is True
    assert 'revision="v1"' in files["README.md"].decode()


def test_what_is_to_be_private_is_not_uploaded_where_all_can_read(server, author, run):
    author.result("from huggingface_hub import HfApi\nHfApi().create_repo('me/public')")
    refused = author.push(run, "me/public", "--private")
    assert refused["error"] is None, refused["error"]
    assert refused["status"] == 2
    assert "me/public is on the Hub already, and public" in refused["err"].splitlines()[-1]
    assert server.files("me/public") == {}


def test_no_path_of_the_machine_and_no_account_is_uploaded(server, author, run):
    assert author.push(run, "me/discreet")["status"] is None
    for name, content in server.files("me/discreet").items():
        assert b"secret-person" not in content, name
        assert str(run.parent).encode() not in content, name
    settings = yaml.safe_load(server.files("me/discreet")["arguments.yaml"])
    assert settings["train_file"] == "train.csv"
    assert settings["arms"] == {"mixup": {}}
    assert not {"output_dir", "run_name", "report_to"} & set(settings)


def test_both_metrics_load_from_their_spaces(server, author, reader):
    listed = author.push("--metrics", "org", "--dry-run")
    assert "org/ece" not in server.state()["repos"]
    pushed = author.push("--metrics", "org")
    assert pushed["error"] is None, pushed["error"]
    for metric in ("ece", "oe"):
        names = set(server.files(f"spaces/org/{metric}"))
        assert {f"{metric}.py", "README.md", "app.py", "requirements.txt"} <= names
        assert not any("__pycache__" in name for name in names)
        assert all(f"  {name}" in listed["out"] for name in names)
    found = reader.result(
        "import evaluate\nresult = [evaluate.load(f'org/{name}').compute(predictions=[[0.1, 0.9], [0.1, 0.9]], "
        "references=[1, 0], n_bins=10)[name] for name in ('ece', 'oe')]"
    )
    assert found == pytest.approx([0.4, 0.36])


@pytest.mark.parametrize(
    "faults",
    [
        [("POST", "/api/repos/create", 1, 500), ("POST", "/commit/", 2, 503)],
        [("POST", "objects/batch", 1, 500), ("PUT", "/lfs/", 1, "drop"), ("POST", "/commit/", 1, "drop")],
        [("POST", "/preupload/", 1, "slow"), ("PUT", "/lfs/", 1, "slow"), ("POST", "/commit/", 1, "slow")],
    ],
    ids=["busy", "dropped", "slow"],
)
def test_what_passes_is_tried_again_until_it_works(faults, server, author, run):
    repo = f"me/patient-{len(server.state()['repos'])}"
    server.faults(*faults)
    pushed = author.push(run, repo)
    server.faults()
    assert pushed["error"] is None, pushed["error"]
    assert pushed["status"] is None, pushed["err"]
    assert server.files(repo)["model.safetensors"] == (run / "release" / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("fault", "env", "message"),
    [
        (("POST", "/commit/", 9, 500), {}, "the server answered 500"),
        (("POST", "/commit/", 9, "drop"), {}, "RemoteProtocolError|ReadError|WriteError"),
        (("POST", "/commit/", 9, 409), {}, "409.*being changed by somebody else"),
        (("POST", "/commit/", 9, 412), {}, "412.*being changed by somebody else"),
        (("POST", "/commit/", 9, 403), {}, "403.*may not write to me/failing"),
        (None, {"HF_TOKEN": "hf_wrong"}, "401.*expired or mistyped: hf auth login"),
    ],
    ids=["500", "dropped", "409", "412", "403", "401"],
)
def test_a_failed_upload_is_one_line_loses_nothing_and_the_next_succeeds(fault, env, message, server, author, run):
    import re

    repo = "me/failing-" + re.sub(r"\W", "", message)[:12]
    before = snapshot(run)
    if fault:
        server.faults(fault)
    failed = author.push(run, repo, **env)
    server.faults()
    assert failed["error"] is None, failed["error"]
    assert failed["status"] == 2
    lines = [line for line in failed["err"].splitlines() if line.startswith("nlp-mixup: error: ")]
    assert len(lines) == 1
    assert failed["err"].rstrip().endswith(lines[0])
    assert re.search(message, lines[0]), lines[0]
    assert "To go on, run the same command again." in lines[0]
    assert "none is on the Hub; a repository or branch that was just made for them stays there, empty" in lines[0]
    assert "Published" not in failed["out"]
    assert snapshot(run) == before
    assert (run / "release" / "model.safetensors").is_file()
    state = server.state()["repos"]
    assert repo not in state or set(state[repo]["branches"]["main"]) == {".gitattributes"}

    again = author.push(run, repo)
    assert again["status"] is None, again["err"]
    assert "model.safetensors" in server.files(repo)
    assert snapshot(run) == before


def test_what_cannot_be_pushed_is_said_in_one_line(author, run, tmp_path):
    for arguments, env, message in [
        ((tmp_path, "me/x"), {}, "is no finished run: it has no metrics.json"),
        ((run, "x"), {}, "REPO_ID must be owner/name"),
        ((run, "me/.."), {}, "me/.."),
        ((run, "me/no-token"), {"HF_TOKEN": None}, "There is no token for the Hub. Type: hf auth login"),
        ((run,), {}, "give RUN_FOLDER and OWNER/NAME, or --metrics ORG"),
        ((run, "me/x", "--metrics", "org"), {}, "give RUN_FOLDER and OWNER/NAME, or --metrics ORG"),
        ((run, "me/x", "--hub_token", "abc"), {}, "push takes no such arguments: --hub_token abc"),
    ]:
        refused = author.push(*arguments, **env)
        assert refused["status"] == 2
        assert message in refused["err"].splitlines()[-1]
    (run / "model" / "README.md").write_text("x")
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps({**metrics, "format": 1}))
    assert (
        "was written by another version of nlp_mixup (format 1; this one reads 2 and 3)"
        in author.push(run, "me/x")["err"]
    )


def test_hostile_names_stay_words(server, author, reader, tmp_path):
    settings = {"train_file": "a/---\n<script>.csv", "dataset_config_name": None}
    write_run(tmp_path / "run", names=HOSTILE[:10], settings=settings, n=(800, 600))
    pushed = author.push(tmp_path / "run", "me/hostile")
    assert pushed["status"] is None, pushed["err"] + str(pushed["error"])
    text = server.files("me/hostile")["README.md"].decode()
    front = text.split("\n---\n")[0].removeprefix("---\n")
    assert yaml.safe_load(front)["model-index"][0]["name"] == "hostile"
    assert ModelCard(text).data.to_dict() == yaml.safe_load(front)
    body = text.split("\n---\n", 1)[1]
    assert text.count("\n---\n") == 1
    for sign in ("<img", "<script", "<b>", "](javascript", "`rm", "\u202e", "{{", "www."):
        assert sign not in body, sign
    table = [line for line in body.splitlines() if line.startswith("| ")]
    rows = [line for line in table if line.split("|")[1].strip().isdigit()]
    assert [line.count("|") for line in rows] == [3] * 10
    loaded = reader.result(
        "from transformers import AutoConfig\nresult = AutoConfig.from_pretrained('me/hostile').id2label"
    )
    assert list(loaded.values()) == HOSTILE


TRAIN = """
import sys
sys.path.insert(0, {tests!r})
import numpy as np, torch
from datasets import Dataset
from conftest import PadCollator, tiny_dataset, tiny_model, training_arguments
from nlp_mixup import MixupTrainer
trainer = MixupTrainer(
    model=tiny_model("bert"),
    args=training_arguments("trained", max_steps=2, mixup_alpha=0.4, hub_model_id="me/trained", push_to_hub=True,
                            save_strategy="steps", save_steps=1),
    train_dataset=tiny_dataset(), eval_dataset=tiny_dataset(240, seed=3), data_collator=PadCollator(),
)
trainer.train()
before = {{name: value.clone() for name, value in trainer.model.state_dict().items()}}
commit = trainer.push_to_hub(language="en", license="apache-2.0", tags="extra", dataset_tags="org/data")
result = {{
    "same": all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items()),
    "calibration": getattr(trainer.model.config, "calibration", None), "url": commit.commit_url,
    "prediction": trainer.predict(trainer.eval_dataset).predictions[:5].tolist(),
}}
"""


def test_the_trainer_pushes_the_same_release_and_keeps_its_weights(server, author, reader):
    found = author.result(TRAIN.format(tests=str(TESTS)))
    assert found["same"] is True
    assert found["calibration"] is None
    assert "/me/trained/commit/" in found["url"]
    files = server.files("me/trained")
    commits = [request["path"] for request in server.state()["requests"] if "/commit/" in request["path"]]
    assert commits.count("/api/models/me/trained/commit/main") == 1  # no checkpoint on the way
    assert set(files) == {"README.md", "arguments.yaml", "config.json", "model.safetensors", "reliability.png"}
    card = ModelCard(files["README.md"].decode())
    assert (card.data.language, card.data.license, card.data.datasets) == ("en", "apache-2.0", ["org/data"])
    assert {"extra", "mixup", "calibration"} <= set(card.data.tags)
    assert card.data.eval_results[0].dataset_split == "validation"
    assert "so its column is optimistic" in card.text
    settings = yaml.safe_load(files["arguments.yaml"])
    assert settings["mixup_alpha"] == 0.4
    temperature = json.loads(files["config.json"])["calibration"]["temperature"]
    loaded = reader.result(
        "import torch\nfrom transformers import AutoModelForSequenceClassification\n"
        "model = AutoModelForSequenceClassification.from_pretrained('me/trained')\n"
        "result = model.classifier.weight.shape[0]"
    )
    assert loaded == 3
    assert np.isfinite(found["prediction"]).all()
    assert temperature > 1.5  # the tiny model's weights are large, so that it is over-confident


def test_training_on_from_a_folded_model_warns_and_forgets_the_temperature(author):
    code = (
        "from transformers import AutoModelForSequenceClassification\n"
        "from nlp_mixup.release import prepare_model\n"
        "folded = AutoModelForSequenceClassification.from_pretrained('me/trained')\n"
        "had = folded.config.calibration is not None\n"
        "trainer = MixupTrainer(model=folded, args=training_arguments('on', max_steps=1), train_dataset=tiny_dataset(),"
        " data_collator=PadCollator())\n"
        "trainer.train()\n"
        "result = had, getattr(folded.config, 'calibration', None)"
    )
    answer = author.run(code)
    assert answer["error"] is None, answer["error"]
    assert answer["result"] == [True, None]


def test_a_trainer_of_adapters_publishes_them_merged(server, author, reader):
    pytest.importorskip("peft")
    code = TRAIN.format(tests=str(TESTS)).replace('model=tiny_model("bert")', 'model=adapted("lora")')
    code = code.replace("from nlp_mixup import", "from altered_models import adapted\nfrom nlp_mixup import")
    code = code.replace('"trained"', '"adapted"').replace("me/trained", "me/adapted")
    code = code.replace(
        '"same": all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())',
        '"same": type(trainer.model).__name__',
    )
    found = author.result(code)
    assert found["same"] == "BertForSequenceClassification"
    files = server.files("me/adapted")
    assert "adapter_config.json" not in files
    config = json.loads(files["config.json"])
    batch = {"input_ids": [[3, 4, 5, 6]], "attention_mask": [[1, 1, 1, 1]]}
    ask = (
        "import torch\nbatch = {{name: torch.tensor(rows) for name, rows in {batch}.items()}}\n"
        "with torch.no_grad():\n    result = {model}.eval()(**batch).logits.tolist()"
    )
    ours = author.result(ask.format(batch=batch, model="trainer.model"))
    theirs = reader.result(
        "from transformers import AutoModelForSequenceClassification\n"
        + ask.format(batch=batch, model="AutoModelForSequenceClassification.from_pretrained('me/adapted')")
    )
    temperature = config["calibration"]["temperature"]
    assert np.array(theirs) * temperature == pytest.approx(np.array(ours), rel=1e-5)


def test_the_token_is_nowhere_but_in_the_authorization_header(server, author, reader, tmp_path_factory):
    """Runs last: over everything that the tests above sent, printed, stored and published."""
    state = server.state()
    assert any(request["authorised"] for request in state["requests"])
    assert not [request for request in state["requests"] if request["leak"]]
    for repo in state["repos"]:
        for branch in state["repos"][repo]["branches"]:
            assert not [name for name, content in server.files(repo, branch).items() if TOKEN.encode() in content]
    assert not [said for client in (author, reader) for said in client.said if TOKEN in said]
    for path in tmp_path_factory.getbasetemp().rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert TOKEN.encode() not in path.read_bytes(), path


def test_a_file_that_holds_the_token_is_not_uploaded(server, author, run):
    content = yaml.safe_load((run / "arguments.yaml").read_text())
    (run / "arguments.yaml").write_text(yaml.safe_dump({**content, "model_revision": TOKEN}))
    refused = author.push(run, "me/leaky")
    assert refused["status"] == 2
    assert "contains your token for the Hub. Nothing was uploaded" in refused["err"]
    assert "me/leaky" not in server.state()["repos"]
