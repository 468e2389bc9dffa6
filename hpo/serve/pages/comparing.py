"""Two studies, or two trials of one study, beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpo.core.errors import UsageError
from hpo.core.formatting import number
from hpo.figures.svg.canvas import Drawn
from hpo.figures.svg.compared import histories_drawn, overlaid_drawn
from hpo.figures.svg.replicates import LearningCurve, differences_drawn
from hpo.serve.pages.answers import ParamRow, exact, time_of_one
from hpo.serve.pages.figures import learning_curves
from hpo.serve.study_view import StudyView
from hpo.stats.ranking import Row
from hpo.study import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two that are compared.

    Attributes:
        name: what it is called on the page.
        view: view of its study.
        trial: the trial; None if its study has no complete one.
        row: its row of the ranking; None if it is not a candidate.
    """

    name: str
    view: StudyView
    trial: Trial | None
    row: Row | None

    @property
    def values(self) -> Mapping[int, float | None]:
        """Its values by seed; empty without replicates."""
        return self.row.candidate.values if self.row else {}

    @property
    def curves(self) -> list[LearningCurve]:
        """Learning curves of its replicates."""
        return [one for one in learning_curves(self.view) if self.trial and one.trial == self.trial.number]

    def facts(self) -> list[tuple[str, str]]:
        """Returns what is known of it, as names and texts."""
        view, row = self.view, self.row
        progress, seconds = view.progress, view.seconds.get(self.trial.number) if self.trial else None
        interval = row.interval if row else None
        return [
            ("study", view.study.name),
            ("state", progress.state),
            ("objective", progress.objective),
            ("trial", "-" if self.trial is None else str(self.trial.number)),
            ("in the search", number(self.trial.value) if self.trial else "-"),
            ("mean of its seeds", number(row.mean if row else None)),
            ("sigma", number(row.sigma if row else None)),
            ("score", number(row.score if row else None)),
            ("95 % interval of the mean", "-" if interval is None else " to ".join(map(number, interval))),
            ("seeds", ", ".join(map(str, self.values)) or "none"),
            ("time of a training", "-" if seconds is None else time_of_one(seconds)),
            ("trials of the search", f"{sum(progress.counts.values())} of {progress.wanted}"),
            ("cost of the study", str(progress.spent) if progress.spent.seconds else "-"),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Two sides, and how they differ.

    Attributes:
        sides: the two sides.
        facts: name, texts of both, and whether they differ.
        params: their params; those that only one study has are empty in the other.
        drawn: figures of both.
        notes: sentences on why something cannot be compared.
    """

    sides: tuple[Side, Side]
    facts: tuple[tuple[str, str, str, bool], ...]
    params: tuple[ParamRow, ...]
    drawn: tuple[Drawn, ...]
    notes: tuple[str, ...]


def contest_of(views: Sequence[StudyView], trials: Sequence[int]) -> Contest:
    """Returns two studies by their winners or incumbents, or two trials of one study.

    Args:
        views: one view with two trials, or two views.
        trials: numbers of the two trials, or none with two studies.

    Raises:
        UsageError: if there are not two of anything, or the study has no such trial.
    """
    if len(views) == 2 and not trials:
        sides = (
            _side(views[0], _leader(views[0]), views[0].study.name),
            _side(views[1], _leader(views[1]), views[1].study.name),
        )
    elif len(views) == 1 and len(trials) == 2:
        for number_ in trials:
            if views[0].trial(number_) is None:
                raise UsageError(f"study {views[0].study.name!r} has no trial {number_}; expected two of its trials")
        sides = _side(views[0], trials[0], f"trial {trials[0]}"), _side(views[0], trials[1], f"trial {trials[1]}")
    else:
        raise UsageError(
            f"expected two studies (?study=a&study=b), or one study and two trials (?study=a&trial=1&trial=2), not "
            f"{len(views)} studies and {len(trials)} trials"
        )
    pairs = zip(sides[0].facts(), sides[1].facts(), strict=True)
    return Contest(
        sides=sides,
        facts=tuple((name, one, other, one != other) for (name, one), (_, other) in pairs),
        params=_params(sides),
        drawn=tuple(_drawn(sides)),
        notes=tuple(_notes(sides)),
    )


def _leader(view: StudyView) -> int | None:
    """Returns the winner, or the candidate ranked first, or the incumbent of the search."""
    if view.report is not None and view.report.winner is not None:
        return view.report.winner.candidate.trial
    return None if view.progress.incumbent is None else view.progress.incumbent.number


def _side(view: StudyView, trial: int | None, name: str) -> Side:
    rows = view.report.ranking.rows if view.report else ()
    row = next((one for one in rows if one.candidate.trial == trial), None)
    return Side(name=name, view=view, trial=None if trial is None else view.trial(trial), row=row)


def _params(sides: tuple[Side, Side]) -> tuple[ParamRow, ...]:
    spaces = [{**side.view.study.space} for side in sides]
    names = [*spaces[0], *(name for name in spaces[1] if name not in spaces[0])]
    found = []
    for name in names:
        cells = tuple(exact(side.trial.params.get(name)) if side.trial else "-" for side in sides)
        texts = dict.fromkeys(str(space[name]) for space in spaces if name in space)
        found.append(ParamRow(name=name, space="; ".join(texts), cells=cells, differs=cells[0] != cells[1]))
    return tuple(found)


def _drawn(sides: tuple[Side, Side]) -> list[Drawn]:
    first, second = (side.view.study.objective for side in sides)
    if first.by_metric != second.by_metric:
        return []
    names = sides[0].name, sides[1].name
    seeds = sorted({*sides[0].values, *sides[1].values})
    values, direction = (sides[0].values, sides[1].values), first.direction
    found = [
        differences_drawn(names, values, seeds, direction, first.metric),
        overlaid_drawn([(side.name, side.curves) for side in sides], seeds, first.metric),
    ]
    if sides[0].view.study.name != sides[1].view.study.name:
        histories = [(side.name, side.view.searched, side.view.study) for side in sides]
        found.append(histories_drawn(histories, first.metric))
    return [one for one in found if one is not None]


def _notes(sides: tuple[Side, Side]) -> list[str]:
    first, second = (side.view.study.objective for side in sides)
    found = []
    if first.by_metric != second.by_metric:
        found.append("The objectives differ, so the values cannot be compared.")
    for side in sides:
        if not side.values:
            found.append(f"{side.name} has no replicates: its only value is the one of the search.")
    if all(side.values for side in sides) and not set(sides[0].values) & set(sides[1].values):
        found.append("They have no seed in common, so the seeds' effect does not cancel.")
    budgets = {side.view.study.search.budget for side in sides}
    if len(budgets) > 1:
        found.append(f"The budgets differ: {' and '.join(map(str, sorted(budgets)))} epochs.")
    return found
