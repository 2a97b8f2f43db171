"""What a results folder shows: mean scores of the arms, their differences to no_mixup, and a verdict in plain words.

Two intervals answer two questions: a t interval over the seeds' paired differences (another seed), and a paired interval
over rows (other test rows). Neither contains the other, so the wider one is reported and decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

import numpy as np
from scipy import stats

from nlp_mixup.advice import Arm, arm_words, equal_epochs_line
from nlp_mixup.arguments import BASELINE, DataArguments, MixupTrainingArguments, ModelArguments
from nlp_mixup.calibration import Interval, RowScores
from nlp_mixup.calibration.floor import short
from nlp_mixup.calibration.intervals import difference_of_draws, differences_of_rows, direction, interval_of_draws
from nlp_mixup.calibration.resampling import Draws, scores_of_rows
from nlp_mixup.runs import (
    FORMAT,
    FREE_SETTINGS,
    PLACES,
    RAW,
    TEMPERATURE,
    Results,
    StoredRun,
    draws_of_logits,
    stored_draws,
)

CALIBRATIONS = (RAW, TEMPERATURE)
DIFFERENCES = ("accuracy", "nll", "brier", "ece", "oe")
LEVEL = 0.95
DEFAULTS = {
    field.name: field.default
    for group in (DataArguments, ModelArguments, MixupTrainingArguments)
    for field in fields(group)
    if field.default is not MISSING
}


@dataclass(frozen=True)
class Estimate:
    """A score, or a difference of scores, as the mean over seeds, with the wider of two intervals.

    Attributes:
        value: the mean over seeds.
        low, high: the limits.
        over: ``seeds`` or ``rows``, what the wider interval answers for.
        seeds: how many.
        spread: the standard deviation over seeds; NaN for one seed.
        rows: how many each seed scored, where that is known.
    """

    value: float
    low: float
    high: float
    over: str
    seeds: int
    spread: float
    rows: int | None = None

    @property
    def sign(self) -> int:
        """1 or -1 where `direction` lets it be told, else 0."""
        return direction(self, self.rows)

    def __str__(self) -> str:
        return f"{short(self.value)} ({short(self.low)} to {short(self.high)})"


@dataclass(frozen=True)
class Sweep:
    """Arms that differ in one number, and the one that the validation split prefers.

    Attributes:
        setting: the setting's name, such as ``mixup_alpha``.
        values: arm -> its value, ascending.
        nll: arm -> mean validation NLL over the seeds that all of them have.
        chosen: the arm whose validation NLL is lowest.
    """

    setting: str
    values: dict[str, float]
    nll: dict[str, float]

    @property
    def chosen(self) -> str:
        return min(self.nll, key=lambda arm: self.nll[arm])

    @property
    def sentence(self) -> str:
        tried = ", ".join(f"{value:g} (NLL {short(self.nll[arm])})" for arm, value in self.values.items())
        return f"{self.setting} {self.values[self.chosen]:g}, the arm {self.chosen}, by the lowest mean NLL of {tried}."


@dataclass(frozen=True)
class EqualEpochs:
    """An arm minus no_mixup after equally many epochs, on the validation rows.

    Attributes:
        chosen: the epochs that the seeds of the arm and those of no_mixup chose.
        ece: epoch -> mean difference in ECE.
        last: differences at the last of them, with their intervals: accuracy, ece, oe and gap.
        nll: the mean difference in NLL there.
    """

    chosen: tuple[list[Any], list[Any]]
    ece: dict[float, float]
    last: dict[str, Estimate]
    nll: float


class Comparison:
    """The numbers of a report.

    Args:
        results: what `read_results` returned.

    Raises:
        ValueError: there is no finished run of the arm no_mixup, which all others are compared with.
    """

    def __init__(self, results: Results):
        if BASELINE not in results.runs:
            raise ValueError(
                f"{results.folder} has no finished run of the arm '{BASELINE}', which the others are compared with; it has "
                f"{', '.join(results.runs)}. Add an arm '{BASELINE}: {{mixup_alpha: 0}}' to the recipe and run it."
            )
        self.results = results
        self.split = results.split
        self.n = int(results.all_runs[0].metrics["rows"][-1]["n"])
        self._equal_epochs: dict[str, EqualEpochs | None] = {}
        self._draws = {(run.folder, name): draws for run in results.all_runs for name, draws in self._draws_of(run)}

    def seeds(self, arm: str, calibration: str = RAW) -> list[int]:
        """The seeds of an arm; after temperature, those where one could be fitted."""
        return [seed for seed, run in self.results.runs[arm].items() if run.row(self.split, calibration)]

    def row(self, arm: str, seed: int, calibration: str) -> dict[str, Any]:
        """The scores of one run on the reported split."""
        row = self.results.runs[arm][seed].row(self.split, calibration)
        if row is None:
            raise ValueError(f"{arm}, seed {seed}: no temperature could be fitted.")
        return row

    def score(self, arm: str, calibration: str, name: str) -> Estimate:
        """The mean of a resampled score over an arm's seeds."""
        runs = [self.results.runs[arm][seed] for seed in self.seeds(arm, calibration)]
        return self._estimate([(run, calibration) for run in runs], None, name)

    def mean(self, arm: str, calibration: str, name: str) -> tuple[float, float]:
        """Mean and standard deviation over seeds (NaN for one) of any column of the rows."""
        values = [self.row(arm, seed, calibration)[name] for seed in self.seeds(arm, calibration)]
        return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")

    def difference(
        self, arm: str, calibration: str, name: str, baseline: str | None = None, *, other: str = BASELINE
    ) -> Estimate | None:
        """An arm minus no_mixup or another arm, paired by seed and row; None where they share no seed.

        Args:
            arm: the arm.
            calibration: raw or temperature.
            name: a score of `RESAMPLED`.
            baseline: the other arm's calibration, the arm's own by default.
            other: the arm to take off.
        """
        baseline = baseline or calibration
        shared = [seed for seed in self.seeds(arm, calibration) if seed in self.seeds(other, baseline)]
        if not shared:
            return None
        runs = self.results.runs
        return self._estimate(
            [(runs[arm][seed], calibration) for seed in shared],
            [(runs[other][seed], baseline) for seed in shared],
            name,
        )

    def _estimate(
        self, first: list[tuple[StoredRun, str]], second: list[tuple[StoredRun, str]] | None, name: str
    ) -> Estimate:
        values = np.array([self._value(*scored, name) for scored in first])
        draws = self._mean_draws(first, name)
        if second:
            values = values - np.array([self._value(*scored, name) for scored in second])
            same_answers = [run.folder for run, _ in first] == [run.folder for run, _ in second]
            draws = difference_of_draws(draws, self._mean_draws(second, name), same_answers=same_answers)
        value = float(values.mean())
        over_rows = interval_of_draws(value, draws.low[name], draws.high[name], draws.bias.get(name), LEVEL)
        if not second and name in draws.bias:  # ECE and OE cannot be below 0
            over_rows = replace(over_rows, low=max(over_rows.low, 0.0), high=max(over_rows.high, 0.0))
        return wider(values, over_rows, rows=self.n)

    def _value(self, run: StoredRun, calibration: str, name: str) -> float:
        return float(run.metrics["intervals"][self.split][calibration][name][0])

    def _mean_draws(self, scored: list[tuple[StoredRun, str]], name: str) -> Draws:
        """The draws of a score's mean over runs: all of them have the same weights of rows."""
        draws = [self._draws[run.folder, calibration] for run, calibration in scored]
        low, high = (
            {name: np.mean([side[name] for side in sides], axis=0)}
            for sides in zip(*((d.low, d.high) for d in draws), strict=True)
        )
        bias = (
            {name: (float(np.mean([d.bias[name][0] for d in draws])), float(np.mean([d.bias[name][1] for d in draws])))}
            if name in draws[0].bias
            else {}
        )
        return Draws(low, high, bias)

    def _draws_of(self, run: StoredRun) -> Iterator[tuple[str, Draws]]:
        """The draws of a run raw and, where it has one, after temperature, on the reported split."""
        is_stored = run.metrics["format"] == FORMAT
        arrays = run.arrays("resamples.npz" if is_stored else f"logits-{self.split}.npz")
        for calibration in CALIBRATIONS:
            row = run.row(self.split, calibration)
            if row is None:
                continue
            if is_stored:
                bias = run.metrics["bias"][self.split][calibration]
                yield calibration, stored_draws(arrays[f"{self.split}-{calibration}"], bias)
            else:
                yield (
                    calibration,
                    draws_of_logits(arrays["logits"], arrays["labels"], row["temperature"], n_bins=row["n_bins"]),
                )

    def equal_epochs(self, arm: str) -> EqualEpochs | None:
        """The arm minus no_mixup after equally many epochs, on validation; None where both chose the same, or stored none.

        Weights that each arm chooses for itself differ in how long they were trained, which moves calibration by itself.
        """
        if arm not in self._equal_epochs:
            self._equal_epochs[arm] = self._measure_equal_epochs(arm)
        return self._equal_epochs[arm]

    def _measure_equal_epochs(self, arm: str) -> EqualEpochs | None:
        runs = self.results.runs
        pairs = [(runs[arm][seed], runs[BASELINE][seed]) for seed in self.seeds(arm) if seed in runs[BASELINE]]
        if not pairs or all(one.epoch == other.epoch for one, other in pairs):
            return None
        of_epoch: dict[float, list[tuple[RowScores, RowScores, float]]] = {}
        for one, other in pairs:
            (first, nll), (second, other_nll) = self._epochs(one), self._epochs(other)
            for epoch in first.keys() & second.keys():
                of_epoch.setdefault(epoch, []).append((first[epoch], second[epoch], nll[epoch] - other_nll[epoch]))
        common = sorted(epoch for epoch, found in of_epoch.items() if len(found) == len(pairs))
        if not common:
            return None
        ece = {
            epoch: float(np.mean([scores_of_rows(a)["ece"] - scores_of_rows(b)["ece"] for a, b, _ in of_epoch[epoch]]))
            for epoch in common
        }
        last = of_epoch[common[-1]]
        differences = [differences_of_rows(a, b) for a, b, _ in last]
        n = len(last[0][0].correct)
        return EqualEpochs(
            chosen=(sorted({one.epoch for one, _ in pairs}), sorted({other.epoch for _, other in pairs})),
            ece=ece,
            last={
                name: _over_seeds([found[name] for found in differences], n)
                for name in ("accuracy", "ece", "oe", "gap")
            },
            nll=float(np.mean([change for _, _, change in last])),
        )

    def _epochs(self, run: StoredRun) -> tuple[dict[float, RowScores], dict[float, float]]:
        """The validation rows after each whole epoch, and their NLL."""
        history, stored = run.history(), run.folder / "epochs.npz"
        if not stored.is_file():
            return {}, {}
        arrays = run.arrays("epochs.npz")
        n_bins = run.metrics["rows"][0]["n_bins"]
        whole = [(i, r) for i, r in enumerate(history[: len(arrays["correct"])]) if float(r["epoch"]).is_integer()]
        rows = {
            r["epoch"]: RowScores.from_confidence(arrays["confidence"][i], arrays["correct"][i], n_bins=n_bins)
            for i, r in whole
        }
        return rows, {r["epoch"]: r["nll"] for _, r in whole}

    def sweeps(self) -> list[Sweep]:
        """Arms whose settings differ in one positive number, each sweep with at least two."""
        settings = {arm: _telling(next(iter(by_seed.values()))) for arm, by_seed in self.results.runs.items()}
        for own in settings.values():  # what has its default is not stored
            for name in {name for other in settings.values() for name in other} & DEFAULTS.keys() - own.keys():
                own[name] = DEFAULTS[name]
        names = sorted({name for own in settings.values() for name, value in own.items() if _is_positive(value)})
        found = []
        for name in names:
            families: dict[str, list[str]] = {}
            for arm, own in settings.items():
                if _is_positive(own.get(name)):
                    rest = {key: value for key, value in own.items() if key != name}
                    families.setdefault(repr(sorted(rest.items())), []).append(arm)
            for arms in families.values():
                if len({settings[arm][name] for arm in arms}) > 1:
                    arms.sort(key=lambda arm: settings[arm][name])
                    seeds = set.intersection(*(set(self.seeds(arm)) for arm in arms))
                    if seeds:
                        nll = {arm: self._validation_nll(arm, seeds) for arm in arms}
                        found.append(Sweep(name, {arm: float(settings[arm][name]) for arm in arms}, nll))
        return found

    def alpha_sweep(self) -> Sweep | None:
        """The sweep over mixup_alpha of the arms that differ from no_mixup in nothing else."""
        plain = self.differing(BASELINE)
        for sweep in self.sweeps():
            if sweep.setting == "mixup_alpha" and self.differing(sweep.chosen).keys() - plain.keys() <= {"mixup_alpha"}:
                return sweep
        return None

    def differing(self, arm: str) -> dict[str, Any]:
        """The settings in which an arm differs from no_mixup; None stands for the default."""
        one, other = (_telling(next(iter(self.results.runs[name].values()))) for name in (arm, BASELINE))
        return {name: one.get(name) for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)}

    def _validation_nll(self, arm: str, seeds: set[int]) -> float:
        rows = [self.results.runs[arm][seed].row("validation", RAW) for seed in sorted(seeds)]
        return float(np.mean([row["nll"] for row in rows if row]))

    def means(self, arm: str) -> dict[str, float]:
        """What `verdict_of` asks of an arm: rows, and the means over seeds of the raw ECE and the upper end of its floor."""
        return {"n": self.n, **{name: self.mean(arm, RAW, name)[0] for name in ("ece", "ece_floor_high")}}


def _over_seeds(found: list[Interval], rows: int) -> Estimate:
    """Paired differences of several seeds over the same rows: their mean, and the mean of their limits or the t interval."""
    low, high = (float(np.mean([getattr(each, end) for each in found])) for end in ("low", "high"))
    values = np.array([each.value for each in found])
    return wider(values, Interval(float(values.mean()), low, high), rows=rows)


def wider(values: np.ndarray, over_rows: Interval, *, rows: int | None = None) -> Estimate:
    """The mean of the seeds' values, with the wider of the t interval over seeds and the interval over rows.

    Example:
        >>> wider(np.array([0.1, 0.3]), Interval(0.2, 0.1, 0.3)).over  # t = 12.7 for two seeds
        'seeds'
        >>> wider(np.array([0.2]), Interval(0.2, 0.1, 0.3)).over
        'rows'
    """
    value, low, high, over = float(values.mean()), over_rows.low, over_rows.high, "rows"
    spread = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    if spread > 0:
        interval = stats.ttest_1samp(values, 0.0).confidence_interval(LEVEL)
        if interval.high - interval.low > high - low:
            low, high, over = float(interval.low), float(interval.high), "seeds"
    return Estimate(value, low, high, over, len(values), spread, rows)


def verdict(comparison: Comparison, arm: str) -> str:
    """An arm in words; see `nlp_mixup.advice.arm_words`."""
    changes = {name: comparison.difference(arm, RAW, name) for name in ("accuracy", "nll", "ece", "gap")}
    has_temperature = bool(comparison.seeds(arm, TEMPERATURE))
    equal = comparison.equal_epochs(arm)
    return arm_words(
        Arm(
            name=arm,
            baseline=BASELINE,
            scores=comparison.means(arm),
            gap=comparison.score(arm, RAW, "gap"),
            baseline_gap=comparison.score(BASELINE, RAW, "gap"),
            changes={name: change for name, change in changes.items() if change is not None},
            settings=next(iter(comparison.results.runs[arm].values())).settings,
            temperature=comparison.difference(arm, TEMPERATURE, "nll", RAW, other=arm) if has_temperature else None,
            rival=comparison.difference(arm, TEMPERATURE, "nll") if has_temperature and arm != BASELINE else None,
            equal_epochs=equal_epochs_line(arm, BASELINE, equal.chosen, equal.ece, equal.last["ece"]) if equal else "",
        )
    )


def _telling(run: StoredRun) -> dict[str, Any]:
    """The settings that tell arms apart: all but the seed, the rows' places, and those that change no number."""
    return {name: value for name, value in run.settings.items() if name not in FREE_SETTINGS | PLACES | {"seed"}}


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
