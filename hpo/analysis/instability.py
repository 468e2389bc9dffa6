"""`instability`: which params are associated with a large sigma over seeds, and which with the value."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpo.core.arguments import explains_arguments
from hpo.core.code import describe_difference
from hpo.core.errors import NothingToPromote
from hpo.core.files import explain_write_errors, write_text
from hpo.core.formatting import counted
from hpo.core.records import Evaluation, Status, Value
from hpo.core.run_config import RunConfig
from hpo.core.shown import Page, Shown
from hpo.driver.cross_validation import join_folds
from hpo.driver.session import checked_config
from hpo.driver.status import as_stored
from hpo.driver.storage import name_of, storage, stored_study
from hpo.figures.report import instability_figure, write_page
from hpo.results import json_text, table_text
from hpo.search.importance import importances
from hpo.study import Study, space
from hpo.study.objective import require_one_objective

if TYPE_CHECKING:
    from hpo.figures.report import Figure

FEWEST = 8
"""Least number of trials with replicates: a rank correlation of seven can hardly be significant."""

LEVEL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamLine:
    """Association of one param with value and sigma.

    Attributes:
        name: name of the param.
        for_value: its importance for the value; None if it is not in every trial.
        for_sigma: its importance for sigma; None if it is not in every trial.
        association: Spearman's rho with log sigma, -1 .. 1; for a choice eta squared by ranks, 0 .. 1; None if the
            trials with replicates do not differ in it.
        p: two-sided p-value of no association; with several params compare the smallest with `LEVEL` / count.
        steadier: where sigma is small: `low`, `high`, or one of the choices; None if it is not significant.
    """

    name: str
    for_value: float | None
    for_sigma: float | None
    association: float | None
    p: float | None
    steadier: str | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Instability(Shown):
    """Params that are associated with instability.

    Attributes:
        study: the study whose promotion it describes.
        sigmas: sigma of each trial over its seeds, ddof 1.
        counts: number of seeds of each trial.
        lines: one line per param, the strongest association first.
        left_out: trials whose values are the same under all their seeds, so that they have no sigma.
        code: says that trainings ran different code; None if that is not known.
        files: paths of the files that were written.
    """

    study: Study
    sigmas: Mapping[int, float]
    counts: Mapping[int, int]
    lines: tuple[ParamLine, ...]
    left_out: tuple[int, ...] = ()
    code: str | None = None
    files: tuple[Path, ...] = ()

    def _headline(self) -> str:
        params, trials = counted(len(self.lines), "param"), counted(len(self.sigmas), "trial")
        return f"{self.study.name}: {params} in {trials}"

    def rows(self) -> list[dict[str, object]]:
        """Returns one row of plain values per param."""
        return [asdict(line) for line in self.lines]

    def plain(self) -> dict[str, object]:
        """Returns everything as plain values."""
        return {
            "study": self.study.name,
            "trials": len(self.sigmas),
            "sigmas": {str(trial): sigma for trial, sigma in self.sigmas.items()},
            "left_out": list(self.left_out),
            "seeds": {str(trial): count for trial, count in self.counts.items()},
            "params": self.rows(),
            "says": self.says,
            "code": self.code,
        }

    @property
    def says(self) -> str:
        """The finding as a sentence."""
        found = [line for line in self.lines if line.steadier is not None]
        count = len(self.sigmas)
        left_out = ""
        if self.left_out:
            numbers = ", ".join(map(str, self.left_out))
            left_out = f" Left out because their values are the same under every seed: trial {numbers}."
        if not found:
            return (
                f"No param is significantly associated with sigma in {count} trials; that does not prove that none is."
                f"{left_out}"
            )
        named = ", ".join(f"{line.name} ({line.steadier} is steadier)" for line in found)
        return (
            f"Significantly associated with sigma: {named}. n = {count} trials; association is not causation.{left_out}"
        )

    def figure(self) -> Figure:
        """Returns the params' importance for the value and for sigma as a plotly figure."""
        return instability_figure(self.rows(), self.study.name, len(self.sigmas))

    def page(self) -> Page:
        """Returns what is printed."""
        from hpo.analysis.shown import instability_text

        return instability_text(self)


@explains_arguments
def instability(study: Study | str, config: RunConfig | None = None) -> Instability:
    """Compares the trials that were trained under several seeds: in promotions, races and replicated searches.

    Args:
        study: the study itself, or its name.
        config: where it is stored, and whose outputs get the tables and the figure; None: the defaults.

    Raises:
        UsageError: if the storage has no such study.
        NothingToPromote: if too few of its trials have replicates.
    """
    name, config = name_of(study), checked_config(config)
    with storage(config.storage) as (store, durable):
        stored = stored_study(store, name)
        study, trials = as_stored(stored), durable.find(name)
        require_one_objective(study, "hpo instability")
        evaluations = join_folds(store.evaluations(stored), study)
        values = _values(evaluations, study)
        spread = {trial: seeds for trial, seeds in values.items() if len(seeds) > 1 and len(set(seeds)) > 1}
        if len(spread) < FEWEST or trials is None:
            raise NothingToPromote(
                f"study {name!r} has {len(spread)} trials with different values under several seeds, and at least "
                f"{FEWEST} are needed to find what is associated with sigma; promote "
                f"more: hpo promote --study {name} --top {2 * FEWEST}"
            )
        sigmas = {trial: float(np.std(seeds, ddof=1)) for trial, seeds in spread.items()}
        means = {trial: float(np.mean(seeds)) for trial, seeds in values.items()}
        for_value = importances(trials, means, study.objective.direction)
        for_sigma = importances(trials, {trial: math.log(sigma) for trial, sigma in sigmas.items()}, "minimize")
    params = {one.job.trial: one.job.params for one in evaluations}
    lines = [
        _line(
            param, dimension, {trial: params[trial] for trial in sigmas}, sigmas, for_value, for_sigma, len(study.space)
        )
        for param, dimension in study.space.items()
    ]
    lines.sort(key=lambda line: (line.p is None, line.p or 0.0))
    counts = {trial: len(seeds) for trial, seeds in spread.items()}
    left_out = tuple(trial for trial, seeds in values.items() if len(seeds) > 1 and trial not in spread)
    codes = {
        f"trial {one.job.trial} seed {one.job.seed_text}": one.code for one in evaluations if one.job.trial in sigmas
    }
    made = Instability(
        study=study,
        sigmas=sigmas,
        counts=counts,
        lines=tuple(lines),
        left_out=left_out,
        code=describe_difference(codes),
    )
    return _written(made, config.outputs / name)


def _values(evaluations: Sequence[Evaluation], study: Study) -> dict[int, list[float]]:
    """Returns the values of each trial's full-budget trainings by seed; each seed counts once."""
    found: dict[int, dict[int, float]] = defaultdict(dict)
    for one in evaluations:
        if one.status is Status.COMPLETE and not one.job.variant and one.job.budget == study.search.budget:
            assert one.value is not None  # complete
            found[one.job.trial].setdefault(one.job.seed, one.value)
    return {trial: list(seeds.values()) for trial, seeds in found.items()}


def _line(
    name: str,
    dimension: space.Dimension,
    params: Mapping[int, Mapping[str, Value]],
    sigmas: Mapping[int, float],
    for_value: Mapping[str, float],
    for_sigma: Mapping[str, float],
    count: int,
) -> ParamLine:
    pairs = [(params[trial][name], math.log(sigma)) for trial, sigma in sigmas.items() if name in params[trial]]
    association, p, steadier = None, None, None
    if len({value for value, _ in pairs}) > 1 and len(pairs) >= FEWEST:
        if isinstance(dimension, space.Choice) and not all(_is_number(value) for value in dimension.values):
            association, p, steadier = _of_choice(pairs)
        else:
            from scipy.stats import spearmanr  # takes half a second to load, and most commands do not need it

            result = spearmanr([float(value) for value, _ in pairs], [sigma for _, sigma in pairs])
            association, p = float(result.statistic), float(result.pvalue)
            steadier = "low" if association > 0 else "high"
    is_beyond_chance = p is not None and p < LEVEL / count  # Bonferroni correction
    return ParamLine(
        name=name,
        for_value=for_value.get(name),
        for_sigma=for_sigma.get(name),
        association=association,
        p=p,
        steadier=steadier if is_beyond_chance else None,
    )


def _of_choice(pairs: Sequence[tuple[Value, float]]) -> tuple[float, float, str]:
    """Returns eta squared and p of Kruskal and Wallis' test, and the choice of the smallest median sigma."""
    from scipy.stats import kruskal  # slow to load

    groups: dict[Value, list[float]] = defaultdict(list)
    for value, sigma in pairs:
        groups[value].append(sigma)
    found = kruskal(*groups.values())
    eta = (float(found.statistic) - len(groups) + 1) / (len(pairs) - len(groups)) if len(pairs) > len(groups) else 0.0
    return max(0.0, eta), float(found.pvalue), str(min(groups, key=lambda value: float(np.median(groups[value]))))


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _written(found: Instability, folder: Path) -> Instability:
    files = tuple(folder / f"instability.{kind}" for kind in ("html", "json", "csv"))
    with explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_page(files[0], found.figure(), "instability")
        write_text(files[1], json_text(found.plain()))
        write_text(files[2], table_text(found.rows()))
    return replace(found, files=files)
