"""The figures of a study's page, by the question that they answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from hpo.core.texts import cleaned
from hpo.figures.svg.canvas import Drawn
from hpo.figures.svg.fronts import fronts_drawn, trials_front_drawn
from hpo.figures.svg.params import complete_trials, importance_drawn, pair_drawn, parallel_drawn, slice_drawn
from hpo.figures.svg.replicates import (
    LearningCurve,
    curves_drawn,
    differences_drawn,
    effects_drawn,
    optimism_drawn,
    sigmas_drawn,
)
from hpo.figures.svg.search import history_drawn, running_drawn, timeline_drawn
from hpo.promotion.fronts import FrontReport
from hpo.promotion.luck import searched_on
from hpo.serve.pages.answers import runner_up
from hpo.serve.study_view import StudyView
from hpo.stats.variance import Effect, Effects

MOST_PARAMS = 12
"""Largest number of params that have a slice; of more, the most important ones."""

MOST_SLICES = 4
"""Number of params whose slices are shown at once; those of the others are folded."""


def figures_of(view: StudyView) -> dict[str, list[Drawn]]:
    """Returns the figures of a study's page by section, in order; a section may have none."""
    slices = _slices(view)
    sections: dict[str, Callable[[StudyView], Sequence[Drawn | None]]] = {
        "running": lambda one: [running_drawn(one.trials, one.study)],
        "winner": _of_winner,
        "certainty": _of_certainty,
        "rival": _of_rival,
        "search": _of_search,
        "slices": lambda _: slices[:MOST_SLICES],
        "more_slices": lambda _: slices[MOST_SLICES:],
        "noise": _of_noise,
    }
    return {name: [drawn for drawn in make(view) if drawn is not None] for name, make in sections.items()}


def learning_curves(view: StudyView) -> list[LearningCurve]:
    """Returns the learning curves of a view's replicates."""
    found = []
    for one in view.curves:
        seed = one.seed.split()[0]
        points = tuple(zip(one.epochs, one.values, strict=True))
        found.append(LearningCurve(trial=one.trial, seed=int(seed), name=f"seed {one.seed}", points=points))
    return found


def _of_winner(view: StudyView) -> list[Drawn | None]:
    if not isinstance(view.report, FrontReport):
        return []
    return [*fronts_drawn(view.report.rows(), view.study, view.report.ranking.seeds)]


def _of_certainty(view: StudyView) -> list[Drawn | None]:
    report = view.report
    if report is None or isinstance(report, FrontReport):
        return []
    source = searched_on(view.study, report.external)
    return [optimism_drawn(report.ranking, source, view.study.objective.metric)]


def _of_rival(view: StudyView) -> list[Drawn | None]:
    found, report = runner_up(view), view.report
    if found is None or report is None:
        return []
    ranking = report.race.final if report.race else report.ranking
    candidates = found.first.candidate, found.second.candidate
    names = f"trial {candidates[0].trial}", f"trial {candidates[1].trial}"
    values = candidates[0].values, candidates[1].values
    return [differences_drawn(names, values, ranking.seeds, ranking.direction, view.study.objective.metric)]


def _of_search(view: StudyView) -> list[Drawn | None]:
    trials, study = view.searched, view.study
    if study.objective.others:
        return [trials_front_drawn(trials, view.progress.front, study), timeline_drawn(trials)]
    names = list(view.importance)
    pair = pair_drawn(trials, study, (names[0], names[1]), view.winner) if len(names) > 1 else None
    return [
        history_drawn(trials, study),
        importance_drawn(view.importance, study, len(complete_trials(trials))),
        pair,
        parallel_drawn(trials, study, view.winner),
        timeline_drawn(trials),
    ]


def _slices(view: StudyView) -> list[Drawn]:
    names = list(view.importance) + [name for name in view.study.space if name not in view.importance]
    found = [slice_drawn(view.searched, view.study, name, view.winner) for name in names[:MOST_PARAMS]]
    return [one for one in found if one is not None]


def _of_noise(view: StudyView) -> list[Drawn | None]:
    metric, report = view.study.objective.metric, view.report
    found: list[Drawn | None] = []
    if report is not None:
        first = report.winner.candidate.trial if report.winner else None
        found.append(curves_drawn(learning_curves(view), first, report.ranking.seeds, metric))
        found.append(None if isinstance(report, FrontReport) else sigmas_drawn(report.ranking, metric))
    if view.decomposition and view.decomposition.get("sd") is not None:
        # The file in the outputs may have been written by something else than hpo.
        with suppress(AttributeError, LookupError, TypeError, ValueError):
            found.append(decomposition_drawn(view.decomposition))
    return found


def decomposition_drawn(found: Mapping[str, Any]) -> Drawn | None:
    """Returns the figure of a decomposition from its stored plain values."""
    effects = [
        Effect(
            source=cleaned(str(one["source"])),
            pairs=one["pairs"],
            sd=float(one["sd"]),
            interval=(float(one["low"]), float(one["high"])) if one["low"] is not None else None,
            share=one["total_effect"],
        )
        for one in found["sources"]
        if one["sd"] is not None
    ]
    whole = Effects(
        count=found["n"],
        mean=found["mean"],
        sd=float(found["sd"]),
        effects=tuple(effects),
        total=found["sum_of_total_effects"],
        interact=bool(found["interact"]),
        leader=found["leader"],
    )
    identical = {one["source"]: one["identical"] == one["pairs"] for one in found["sources"]}
    notes = {
        effect.source: "not used" if identical[effect.source] else "no difference in this metric"
        for effect in effects
        if effect.sd == 0
    }
    return effects_drawn(whole, str(found["metric"]), notes)
