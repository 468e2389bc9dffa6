"""`compare`: compares two configurations under the same seeds."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.core.arguments import explains_arguments
from hpo.core.code import Code, describe_difference
from hpo.core.errors import UsageError
from hpo.core.files import read_json
from hpo.core.formatting import counted
from hpo.core.records import Stage, Status
from hpo.core.run_config import RunConfig
from hpo.core.shown import Page, Shown
from hpo.driver.cross_validation import join_folds
from hpo.driver.session import checked_config, resolve_study
from hpo.driver.storage import storage, stored_study
from hpo.figures.report import comparison_figure
from hpo.stats.seed_use import is_coarse
from hpo.stats.statistics import DECIDABLE, outperformance, outperformance_interval, pairs_needed
from hpo.study import Study
from hpo.study.objective import require_one_objective

if TYPE_CHECKING:
    from hpo.figures.report import Figure

MEANINGFUL = 0.75
"""Outperformance above which a difference is meaningful. Source: Bouthillier et al., 2021, section 4."""


LONGEST_NUMBER = 20
"""Largest number of digits of a trial number; Python refuses to parse thousands of digits."""

SHOWN = 100
"""Number of characters of an argument that a message repeats."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison(Shown):
    """Two configurations, paired over the seeds that both have.

    Attributes:
        names: both configurations, as they were given.
        seeds: seeds that both have.
        values: values of both, each (n,) in the order of the seeds.
        outperformance: P(A > B): the share of the seeds on which the first is better; a tie counts half.
        interval: 95 % percentile bootstrap interval over the pairs; None if there are too few pairs to decide
            anything, or if one configuration has the same value under every seed.
        needed: number of pairs needed to detect an outperformance of `MEANINGFUL`, with errors of 5 % of both kinds.
        needed_for_seen: the same for the observed outperformance; None if that is 0.5.
        same: names of configurations whose values are equal under every seed (other than shares of a few cases), so
            that their pairs count as one.
        code: says that the two ran different code; None if that is not known.
    """

    names: tuple[str, str]
    seeds: tuple[int, ...]
    values: tuple[tuple[float, ...], tuple[float, ...]]
    outperformance: float
    interval: tuple[float, float] | None
    needed: int
    needed_for_seen: int | None
    same: tuple[str, ...] = ()
    code: str | None = None

    @property
    def verdict(self) -> str:
        """The conclusion, as a sentence."""
        count = len(self.seeds)
        if self.same:
            return (
                f"not decidable: the values of {' and '.join(self.same)} are the same under all {count} seeds, so "
                "they count as one draw; is the seed ignored?"
            )
        if self.interval is None:
            return (
                f"not decidable at n = {count}: even if one were better on every seed, that happens by chance with "
                f"probability {0.5**count:.2g}"
            )
        low, high = self.interval
        if low <= 0.5 <= high:
            return "not significant: the interval holds a half"
        better = self.names[0] if low > 0.5 else self.names[1]
        reach = high if low > 0.5 else 1 - low
        meaning = "and meaningful" if reach > MEANINGFUL else f"but not meaningful: below {MEANINGFUL:g}"
        return f"significant {meaning}: {better} is better"

    def _headline(self) -> str:
        verdict, _, _ = self.verdict.partition(":")
        return f"{self.names[0]} and {self.names[1]} over {counted(len(self.seeds), 'seed')}: {verdict}"

    def page(self) -> Page:
        """Returns what is printed."""
        from hpo.analysis.shown import comparison_text

        return Page([comparison_text(self)])

    def figure(self) -> Figure:
        """Returns the values of both under each seed as a plotly figure."""
        return comparison_figure(self.names, self.seeds, self.values, self.verdict)

    def rows(self) -> list[dict[str, object]]:
        """Returns a row of plain values for each seed."""
        pairs = zip(self.seeds, *self.values, strict=True)
        return [{"seed": seed, self.names[0]: one, self.names[1]: other} for seed, one, other in pairs]


@explains_arguments
def compare(
    first: int | str | Path,
    second: int | str | Path,
    study: Study | str | None = None,
    config: RunConfig | None = None,
    *,
    minimize: bool = False,
) -> Comparison:
    """Compares two configurations over the seeds that both have.

    Args:
        first: a trial's number, a folder with results_N in it or one of these, or CSV with the columns seed and value.
        second: the other configuration, given in the same way as the first.
        study: the study of the trials, which also gives the direction; None: both arguments are files.
        config: where the study is stored; None: the defaults.
        minimize: whether lower values are better, if there is no study.

    Raises:
        UsageError: if one cannot be read, or they have no seed in common.
    """
    first, second = str(first), str(second)
    study = resolve_study(study, to_train=False) if study is not None else None
    config = checked_config(config)
    if study is not None:
        require_one_objective(study, "hpo compare")
        minimize = study.objective.direction == "minimize"
    codes: dict[str, Code] = {}
    one, other = (_values(given, study, config, codes) for given in (first, second))
    seeds = tuple(sorted(set(one) & set(other)))
    if not seeds:
        raise UsageError(
            f"{first} and {second} have no seed in common ({_listed(one)}; {_listed(other)}): pairs cancel the effect "
            "of a seed on both, so train both under the same seeds"
        )
    sign = -1.0 if minimize else 1.0
    pairs = tuple(tuple(values[seed] for seed in seeds) for values in (one, other))
    ours, theirs = ([sign * value for value in values] for values in pairs)
    share = outperformance(ours, theirs)
    same = tuple(
        given
        for given, values in zip((first, second), pairs, strict=True)
        if len(values) > 1 and len(set(values)) == 1 and not is_coarse(values[0])
    )
    return Comparison(
        names=(first, second),
        seeds=seeds,
        values=(pairs[0], pairs[1]),
        outperformance=share,
        interval=outperformance_interval(ours, theirs) if len(seeds) >= DECIDABLE and not same else None,
        needed=pairs_needed(MEANINGFUL),
        needed_for_seen=None if share == 0.5 or same else pairs_needed(max(share, 1 - share)),
        same=same,
        code=describe_difference(codes),
    )


def _listed(values: Mapping[int, float]) -> str:
    return f"seeds {', '.join(map(str, sorted(values)))}"


def _values(given: str, study: Study | None, config: RunConfig, codes: dict[str, Code]) -> dict[int, float]:
    if os.path.isdir(given):  # returns False for a name that is too long, where Path.is_dir raises
        return _of_results(Path(given))
    if os.path.isfile(given):
        return _of_csv(Path(given))
    if not (given.isascii() and given.isdecimal() and len(given) < LONGEST_NUMBER):
        raise UsageError(
            f"{given[:SHOWN]} is neither the number of a trial, nor an existing folder of results, nor an existing "
            "CSV file"
        )
    if study is None:
        raise UsageError(f"trial {given} needs a study; name it with --study")
    with storage(config.storage) as (store, _durable):
        stored = stored_study(store, study.name)
        found = join_folds(store.evaluations(stored, Stage.PROMOTION, int(given)), study)
    values = {one.job.seed: one.value for one in found if one.status is Status.COMPLETE and one.value is not None}
    if not values:
        raise UsageError(
            f"trial {given} has no replicates; promote it, or compare others: hpo show --study {study.name} {given}"
        )
    codes.update({f"trial {given} seed {one.job.seed}": one.code for one in found if one.job.seed in values})
    return values


def _of_results(folder: Path) -> dict[int, float]:
    files = [folder / "summary.json"] if (folder / "summary.json").is_file() else sorted(folder.glob("*/summary.json"))
    found: dict[int, float] = {}
    for file in files:
        try:
            summary: Any = read_json(file)
            seed, value = _seed_and_value(summary["seed"], summary["best_metric"])
        except (ValueError, OverflowError, KeyError, TypeError) as error:
            raise UsageError(f"{file} has no valid seed and best_metric ({type(error).__name__}: {error})") from error
        if found.setdefault(seed, value) != value:
            raise UsageError(f"{folder} has several results under seed {seed}; name the folders of one configuration")
    if not found:
        raise UsageError(f"there are no results in {folder}; expected summary.json in it, or in folders below it")
    return found


def _seed_and_value(seed: Any, value: Any) -> tuple[int, float]:
    """Returns both as numbers.

    Raises:
        ValueError: if the value is not finite, or one of them is not a number.
        OverflowError: if the seed is infinite.
        TypeError: if one of them cannot be a number.
    """
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"the value under seed {seed} is {number}, not a finite number")
    return int(seed), number


def _of_csv(path: Path) -> dict[int, float]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        found: dict[int, float] = {}
        for row in rows:
            seed, value = _seed_and_value(row["seed"], row["value"])
            if found.setdefault(seed, value) != value:
                raise ValueError(f"seed {seed} has several values")
        return found
    except (ValueError, OverflowError, KeyError, TypeError, OSError, csv.Error) as error:
        raise UsageError(
            f"{path} is not a table of values ({type(error).__name__}: {error}); "
            "expected CSV with the columns seed and value"
        ) from error
