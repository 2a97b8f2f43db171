"""The command line: ``nlp-mixup train``, ``compare``, ``evaluate`` and so on. Top-level ``--help`` imports no torch."""

import argparse
import gc
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nlp_mixup import __version__
from nlp_mixup.arguments import check_demo

FIELDS_HINT = "Any field of the recipe can follow as --field value; nlp-mixup train --help lists them all."


def main(argv: list[str] | None = None) -> None:
    """Runs a command; exits with status 2 and one line when the user's input is wrong.

    Where the reader of the output goes away, as ``head`` does, it stops without a word and with the status of a program that
    the signal SIGPIPE ends, 141.
    """
    try:
        try:
            run_command(argv)
        finally:
            sys.stdout.flush()  # here, since a failure at the interpreter's end cannot be caught
    except BrokenPipeError:
        gone = [stream for stream in (sys.stdout, sys.stderr) if reader_is_gone(stream)]
        if not gone:  # another pipe, such as a data loader's
            raise
        for stream in gone:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except SystemExit as stop:
        if stop.code == 1 and isinstance(stop.__context__, BrokenPipeError):  # how rich stops
            sys.exit(128 + signal.SIGPIPE)
        raise


def reader_is_gone(stream) -> bool:
    """Whether a stream is a pipe that nobody reads any more."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)  # errors are reported without being asked for
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no poll on this system; a stream without a descriptor; a closed one
        return False


def run_command(argv: list[str] | None) -> None:
    """Reads the command line and runs the command."""
    parser = argparse.ArgumentParser(
        prog="nlp-mixup",
        description="Train Hugging Face classifiers with mixup and see what it does to their calibration.",
    )
    parser.add_argument("--version", action="version", version=f"nlp-mixup {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    train = commands.add_parser(
        "train",
        help="train one arm with one seed; score it on validation and test",
        usage="nlp-mixup train RECIPE [--arm NAME] [--field value ...]",
        add_help=False,
        allow_abbrev=False,
    )
    train.add_argument("recipe", nargs="?", metavar="RECIPE", help="name of a shipped recipe, or path of a YAML file")
    train.add_argument("--arm", help="which of the recipe's arms to train (default: mixup)")
    train.add_argument("-h", "--help", action="store_true", help="this text and all fields")

    compare = commands.add_parser(
        "compare",
        help="train every arm with every seed; write the report",
        usage="nlp-mixup compare RECIPE [--seeds 0 1 2] [--arms NAME ...] [--field value ...]",
        epilog=FIELDS_HINT,
        allow_abbrev=False,
    )
    compare.add_argument("recipe", metavar="RECIPE", help="name of a shipped recipe, or path of a YAML file")
    compare.add_argument("--seeds", nargs="+", type=int, help="seeds to run each arm with (default: the recipe's)")
    compare.add_argument("--arms", nargs="+", help="arms to run (default: all of the recipe's)")

    doctor = commands.add_parser(
        "evaluate",
        help="judge any trained classifier's confidence on rows of yours; say what would mend it",
        usage="nlp-mixup evaluate MODEL --validation_file FILE [--test_file FILE] [--field value ...]",
        add_help=False,
        allow_abbrev=False,
    )
    doctor.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a model's folder, a Hub id, or a run's folder, whose data settings hold where none is typed",
    )
    doctor.add_argument("-h", "--help", action="store_true", help="this text and all fields")

    report = commands.add_parser("report", help="write a results folder's tables, figures and verdicts anew")
    report.add_argument("folder", metavar="FOLDER", help="the results folder: holds <arm>/seed-<s>/")

    push = commands.add_parser(
        "push",
        help="publish a finished run on the Hub, calibrated and with its card; or the two metrics",
        usage="nlp-mixup push RUN_FOLDER OWNER/NAME [--fold auto|always|never] [--private] [--revision REV] [--dry-run]\n"
        "       nlp-mixup push --metrics ORG [--dry-run]",
        allow_abbrev=False,
    )
    push.add_argument("run_folder", nargs="?", metavar="RUN_FOLDER", help="such as runs/quickstart/mixup/seed-0")
    push.add_argument("repo_id", nargs="?", metavar="OWNER/NAME", help="the repository; made if it is not there")
    push.add_argument("--metrics", metavar="ORG", help="publish the Spaces ORG/ece and ORG/oe instead of a run")
    push.add_argument(
        "--fold",
        choices=("auto", "always", "never"),
        default="auto",
        help="put the temperature into the weights: auto, where validation rows are certain that it helps and test rows do not "
        "show that it does harm; always; never (default: auto)",
    )
    push.add_argument("--private", action="store_true", help="make a new repository private; a public one is refused")
    push.add_argument("--revision", help="branch to commit to; made if it is not there (default: main)")
    push.add_argument("--dry-run", action="store_true", help="write and list what would be uploaded, and stop")

    commands.add_parser("recipes", help="list the shipped recipes")

    argv = sys.argv[1:] if argv is None else argv
    if (
        len(argv) > 1
        and argv[0] in ("train", "compare", "evaluate")
        and argv[1].startswith("-")
        and argv[1] not in ("-h", "--help")
    ):
        first = "MODEL" if argv[0] == "evaluate" else "RECIPE"
        parser.error(f"{first} comes first: nlp-mixup {argv[0]} {first} {' '.join(argv[1:3])} ...")
    options, overrides = parser.parse_known_args(argv)
    if options.command == "train" and (options.help or options.recipe is None):
        train.print_help()
        if options.help:
            from nlp_mixup.arguments import field_help

            print(f"\n{field_help()}")
        sys.exit(0 if options.help else 2)
    if options.command == "evaluate" and (options.help or options.model is None):
        doctor.print_help()
        if options.help:
            from nlp_mixup.arguments import field_help
            from nlp_mixup.doctor import ARGUMENT_CLASSES

            print(f"\n{field_help(ARGUMENT_CLASSES)}")
        sys.exit(0 if options.help else 2)
    if options.command in ("recipes", "report", "push") and overrides:
        parser.error(f"{options.command} takes no such arguments: {' '.join(overrides)}")
    if options.command == "push" and (
        (options.metrics is None) == (options.repo_id is None) or (options.metrics and options.run_folder)
    ):
        push.error("give RUN_FOLDER and OWNER/NAME, or --metrics ORG")
    if options.command == "push" and options.metrics and options.fold != "auto":
        push.error("--fold is about a model's temperature; --metrics publishes none")
    try:
        if options.command == "train":
            train_command(options.recipe, options.arm, overrides)
        elif options.command == "compare":
            compare_command(options.recipe, options.seeds, options.arms, overrides)
        elif options.command == "evaluate":
            evaluate_command(options.model, overrides)
        elif options.command == "report":
            report_command(options.folder)
        elif options.command == "push":
            push_command(options)
        else:
            recipes_command()
    except KeyboardInterrupt:
        resumes = (
            " The same command goes on from the last checkpoint." if options.command in ("train", "compare") else ""
        )
        print(f"\nInterrupted.{resumes}", file=sys.stderr)
        sys.exit(130)


def train_command(name: str, arm: str | None, overrides: list[str]) -> None:
    """Trains one arm with one seed and prints its scores."""
    with user_errors():
        check_demo(name, overrides)
        from nlp_mixup.recipe import load_recipe, parse_arguments

        recipe = load_recipe(name)
        arm = arm or recipe.default_arm()

        from nlp_mixup.reports import print_run
        from nlp_mixup.runs import Run, prepare, quiet

        quiet()

        arguments = parse_arguments(recipe, arm, overrides)
        run = Run(arguments, arm)
        if not run.is_done:
            prepared = prepare(arguments)
            if prepared.rows.notes:
                say(arguments, prepared.rows.paragraph)
            trainer = run.build_trainer(prepared)
            run.lock()
    if run.is_done:
        run.drop_checkpoints("last")
        say(arguments, f"This run is done already; its scores are in {run.folder}.")
        if not (run.folder / "model").is_dir() and arguments.evaluation.keep_models != "none":
            say(arguments, "Its weights were not kept. To have them, train it elsewhere: --output_dir FOLDER")
    else:
        with data_errors():
            run.train(trainer, prepared, keep_models="last")
        del trainer
    leave_processes()
    if arguments.training.process_index == 0:
        with user_errors():
            print_run(run.folder)


def leave_processes() -> None:
    """Closes the connections between processes, as torch asks for: one that ends with them open is aborted now and then."""
    from accelerate import PartialState

    gc.collect()  # the wrapped model must be gone before, or the connections' threads can wait for ever
    PartialState().destroy_process_group()


def compare_command(name: str, seeds: list[int] | None, arms: list[str] | None, overrides: list[str]) -> None:
    """Trains what is missing of arms x seeds, then writes the report on all that its folder holds."""
    with user_errors():
        check_demo(name, overrides)
        from nlp_mixup.data import DataError
        from nlp_mixup.recipe import BASELINE, check_baseline, check_compare, load_recipe, parse_arguments

        recipe = load_recipe(name)
        seeds = list(recipe.seeds) if seeds is None else seeds
        check_compare(recipe, seeds, overrides, arms)
        check_baseline(parse_arguments(recipe, BASELINE, overrides, seeds[0]))

        from nlp_mixup.reports import write_report
        from nlp_mixup.runs import Run, prepare, quiet

        quiet()

        # Every setting of every run is checked before the first one starts.
        runs = [
            Run(parse_arguments(recipe, arm, overrides, seed), arm) for seed in seeds for arm in arms or recipe.arms
        ]
        missing = [run for run in runs if not run.is_done]
    say(runs[0].arguments, f"{len(runs)} runs: {len(runs) - len(missing)} done, {len(missing)} to train.")
    prepared, started = None, time.monotonic()
    failed: list[str] = []
    for number, run in enumerate(missing):
        left = (
            f", about {_duration((time.monotonic() - started) / number * (len(missing) - number))} left"
            if number
            else ""
        )
        say(run.arguments, f"[{number + 1}/{len(missing)}] {run.arm}, seed {run.seed}{left}")
        with user_errors():
            if prepared is None or not prepared.serves(run.arguments):
                told = prepared.rows.paragraph if prepared else ""
                prepared = prepare(run.arguments)
                if prepared.rows.notes and prepared.rows.paragraph != told:
                    say(run.arguments, prepared.rows.paragraph)
            trainer = run.build_trainer(prepared)
            run.lock()
        if not run.is_done:  # by another command meanwhile
            with data_errors():
                try:
                    run.train(trainer, prepared, keep_models="none")
                except DataError:
                    raise
                except ValueError as error:  # a model that diverged has no scores; the other arms have
                    failed.append(f"{run.arm}, seed {run.seed}: {error}")
                    print(f"nlp-mixup: {failed[-1]} The comparison goes on without it.", file=sys.stderr)
        run.unlock()
        del trainer  # and its model, before the next is made
    leave_processes()
    if runs[0].arguments.training.process_index == 0:
        with user_errors():
            for run in runs:
                if run.is_done:
                    run.drop_checkpoints()
            if (runs[0].output_dir / BASELINE).is_dir():
                write_report(runs[0].output_dir)
            else:
                print(f"The report needs {BASELINE}: when it has run too, nlp-mixup report {runs[0].output_dir}")
    if failed:
        sys.exit(1)


def report_command(folder: str) -> None:
    """Writes the report of a results folder from what its runs stored."""
    with user_errors():
        from nlp_mixup.reports import write_report

        write_report(Path(folder))


def _duration(seconds: float) -> str:
    """
    >>> _duration(59), _duration(61), _duration(7300)
    ('59 s', '1 min', '2 h 1 min')
    """
    minutes = int(seconds // 60)
    return (
        f"{seconds:.0f} s"
        if minutes < 1
        else f"{minutes} min"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60} min"
    )


def evaluate_command(model: str, overrides: list[str]) -> None:
    """Judges a trained classifier; prints what was found and what would mend it."""
    with user_errors():
        from nlp_mixup.doctor import evaluate, parse_arguments, print_evaluation

        data, options = parse_arguments(model, overrides)
        evaluation = evaluate(model, data, options)
        print_evaluation(evaluation, options)


def push_command(options: argparse.Namespace) -> None:
    """Prepares what is to be published, lists it, and uploads exactly that."""
    with user_errors(), tempfile.TemporaryDirectory() as spaces:
        from nlp_mixup.release import prepare_metrics, prepare_run, upload
        from nlp_mixup.runs import quiet

        quiet()

        if options.metrics is not None:
            plans = prepare_metrics(options.metrics, Path(spaces))
        else:
            plans = [
                prepare_run(Path(options.run_folder), options.repo_id, revision=options.revision, fold=options.fold)
            ]
        for plan in plans:
            print(plan)
        if options.dry_run:
            print("Nothing was uploaded: --dry-run.")
            return
        for plan in plans:
            commit = upload(plan, private=options.private or None, revision=options.revision)
            print(f"Published: {commit.commit_url}")


def recipes_command() -> None:
    """Prints the shipped recipes, each with the first line of its comment."""
    from nlp_mixup.recipe import shipped_recipes

    for name, path in sorted(shipped_recipes().items()):
        first_line = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("#").strip()
        print(f"{name:28} {first_line}")


def say(arguments, line: str) -> None:
    """Prints on the first process only."""
    if arguments.training.process_index == 0:
        print(line, flush=True)


@contextmanager
def user_errors() -> Iterator[None]:
    """Turns an error of the user's input, all found before training, into one line and exit status 2."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        if isinstance(error, BrokenPipeError) and (reader_is_gone(sys.stdout) or reader_is_gone(sys.stderr)):
            raise
        print(f"nlp-mixup: error: {error}", file=sys.stderr)
        sys.exit(2)


@contextmanager
def data_errors() -> Iterator[None]:
    """The same for rows that are found to be wrong while training; any other error there is ours, with its traceback."""
    from nlp_mixup.data import DataError

    try:
        yield
    except DataError as error:
        # A worker of the data loader puts its traceback before the message.
        message = str(error).rpartition(f"{DataError.__name__}: ")[2].strip()
        resumes = "Once that is mended, the same command goes on from the last checkpoint."
        print(f"nlp-mixup: error: {message} {resumes}", file=sys.stderr)
        sys.exit(2)
