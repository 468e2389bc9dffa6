"""Answers that a study's page gives in tables: params of the candidates, the runner-up, failures, costs, next steps."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hpo.core.costs import amount
from hpo.core.formatting import counted, duration, number, param, quantity
from hpo.core.records import Stage, Value
from hpo.promotion.fronts import FrontReport
from hpo.promotion.report import PromotionReport
from hpo.promotion.soundness import promote_command
from hpo.serve.study_view import StudyView
from hpo.stats.confidence import CALIBRATED
from hpo.stats.ranking import Row
from hpo.stats.statistics import t_interval
from hpo.study import FIRST_EXTERNAL, Study, Trial

MOST_COLUMNS = 8
"""Largest number of candidates beside each other in a table."""

STAGES = {
    Stage.SEARCH: "search",
    Stage.PROMOTION: "replicates of promotions",
    Stage.DECOMPOSITION: "decompositions of the noise",
    Stage.REPLAY: "repetitions of one training",
    Stage.TEST: "evaluations on the test part",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamRow:
    """One param of several trials.

    Attributes:
        name: name of the param.
        space: its dimension in the search space, as the study file has it.
        cells: its value in each trial, `-` where it does not exist.
        differs: whether the trials have different values.
    """

    name: str
    space: str
    cells: tuple[str, ...]
    differs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerUp:
    """The candidate that is ranked second, compared with the winner.

    Attributes:
        first: the winner's row.
        second: the other row.
        mean: how much better the winner's mean is.
        score: how much better its score is; None without a score.
        better_on: number of seeds on which the winner is better.
        interval: 95 % interval of how much better its mean is over other seeds, paired by seed; None: too few seeds.
        seeds: number of seeds that both have.
        seconds: mean seconds of a training of both; None: unknown.
    """

    first: Row
    second: Row
    mean: float
    score: float | None
    better_on: int
    interval: tuple[float, float] | None
    seeds: int
    seconds: tuple[float, float] | None

    @property
    def says(self) -> str:
        """What taking the runner-up would lose, as sentences."""
        one, other = self.first.candidate.trial, self.second.candidate.trial
        way = "worse" if self.mean > 0 else "better" if self.mean < 0 else None
        mean = f"a mean that is {number(abs(self.mean))} {way}" if way else "the same mean"
        score = "" if self.score is None else f" and a score that is {number(abs(self.score))} worse"
        text = (
            f"Trial {other} instead of trial {one}: {mean}{score}. Trial {one} is better on {self.better_on} of "
            f"{counted(self.seeds, 'seed')}."
        )
        if self.interval is not None:
            low, high = self.interval
            sign = "" if low > 0 or high < 0 else ", which includes no difference"
            text += f" On other seeds its mean is {number(low)} to {number(high)} better (95 %{sign})."
        times = [] if self.seconds is None else [time_of_one(seconds) for seconds in self.seconds]
        if len(set(times)) > 1:
            text += f" A training takes {times[1]} instead of {times[0]}."
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something to do next.

    Attributes:
        why: what it is good for.
        command: the command to type; empty: it needs more than one.
    """

    why: str
    command: str = ""


def param_rows(trials: Sequence[Trial | None], study: Study) -> tuple[ParamRow, ...]:
    """Returns a row for each param of the search space.

    Args:
        trials: trials in the order of the columns; None: one whose params are not known.
        study: the study that they belong to.
    """
    found = []
    for name, dimension in study.space.items():
        values = [None if one is None else one.params.get(name) for one in trials]
        cells = tuple(exact(value) for value in values)
        found.append(ParamRow(name=name, space=str(dimension), cells=cells, differs=len(set(cells)) > 1))
    return tuple(found)


def exact(value: Value | None) -> str:
    """Returns a param with so many digits that two different values look different in most cases."""
    return f"{value:.6g}" if isinstance(value, float) else param(value)


def runner_up(view: StudyView) -> RunnerUp | None:
    """Returns the candidate that is ranked second; None if there is no decided winner, or no other candidate."""
    report = view.report
    if report is None or view.winner is None or isinstance(report, FrontReport):
        return None
    ranking = report.race.final if report.race else report.ranking
    rows = [row for row in ranking.complete if row.mean is not None]
    if len(rows) < 2 or rows[0].candidate.trial != view.winner:
        return None
    first, second = rows[0], rows[1]
    assert first.mean is not None  # selected above
    assert second.mean is not None
    sign = 1.0 if ranking.direction == "maximize" else -1.0
    known = zip(ranking.values(first), ranking.values(second), strict=True)
    gaps = [sign * (one - other) for one, other in known]
    times = [view.seconds.get(row.candidate.trial) for row in (first, second)]
    scored = first.score is not None and second.score is not None
    return RunnerUp(
        first=first,
        second=second,
        mean=sign * (first.mean - second.mean),
        score=sign * ((first.score or 0.0) - (second.score or 0.0)) if scored else None,
        better_on=sum(gap > 0 for gap in gaps),
        interval=t_interval(gaps),
        seeds=len(gaps),
        seconds=(times[0], times[1]) if times[0] is not None and times[1] is not None else None,
    )


def front_differences(view: StudyView) -> list[str]:
    """Returns what each other candidate on the first front would gain and lose, as sentences; empty without a front."""
    report = view.report
    if not isinstance(report, FrontReport) or report.best is None or view.winner is None:
        return []
    best, found = report.best, []
    for one in report.front:
        if one is best:
            continue
        parts = []
        for place, (metric, direction) in enumerate(view.study.objective.by_metric.items()):
            sign = 1.0 if direction == "maximize" else -1.0
            pairs = [(one.vectors[seed], best.vectors[seed]) for seed in report.ranking.seeds]
            gaps = [sign * (mine[place] - its[place]) for mine, its in pairs if mine is not None and its is not None]
            difference = one.means[place] - best.means[place]
            better = f"better on {sum(gap > 0 for gap in gaps)} of {counted(len(gaps), 'seed')}"
            parts.append(f"{metric} {'+' if difference > 0 else ''}{quantity(difference)} ({better})")
        found.append(f"Trial {one.trial} instead of trial {best.trial}: {', '.join(parts)}.")
    return found


def failures(trials: Iterable[Trial]) -> list[tuple[str, list[int]]]:
    """Returns the reasons of failed trials with the trials' numbers, the most frequent first."""
    found: dict[str, list[int]] = {}
    for one in trials:
        if one.state == "failed":
            lines = (one.error or "").strip().splitlines()
            found.setdefault(lines[-1] if lines else "no error was recorded", []).append(one.number)
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))


def cost_rows(view: StudyView) -> list[tuple[str, int, str, str, str]]:
    """Returns stage, number of trainings, their time, the mean time of one, and its share of the whole, by stage."""
    whole = sum(seconds for _, seconds in view.stages.values()) or 1.0
    return [
        (name, runs, duration(seconds), time_of_one(seconds / runs), f"{seconds / whole:.0%}")
        for stage, name in STAGES.items()
        if (found := view.stages.get(stage)) is not None
        for runs, seconds in [found]
    ]


def saved_text(view: StudyView) -> str | None:
    """Returns how many epochs pruning saved; None if nothing was pruned."""
    budget = view.study.search.budget
    pruned = [len(one.values) for one in view.trials if one.state == "pruned"]
    if not pruned or budget < 2:
        return None
    saved = sum(max(0, budget - steps) for steps in pruned)
    whole = budget * sum(one.state in ("complete", "pruned") for one in view.trials)
    return f"Pruning saved {saved} of {whole} epochs of the search ({saved / whole:.0%})."


def price_text(view: StudyView) -> str | None:
    """Returns what the trainings cost in money; None if no price per hour is set."""
    cost = view.progress.spent.cost
    return None if cost is None else f"At {amount(view.progress.spent.price_per_hour or 0.0)} per hour: {amount(cost)}."


def fixed_text(params: Mapping[str, Value], study: Study) -> str:
    """Returns the params of a trial as lines of TOML, with those that the study fixes."""
    return "\n".join(f"{name} = {_toml(value)}" for name, value in {**dict(study.fixed), **params}.items())


def reproducing(view: StudyView) -> list[str]:
    """Returns the commands that search and promote the study again, with the options that its file does not say."""
    name, report = view.study.name, view.report
    own = sum(one.number < FIRST_EXTERNAL and one.state != "imported" for one in view.trials)
    trials = [] if own == view.study.search.trials else ["--trials", str(own)]
    found = [shlex.join(["hpo", "run", "--study", name, *trials])] if own else []
    if report is not None:
        promote = promote_command(view.study, report.ranking)
        if report.external or report.race:
            promote = f"hpo promote --study {name} {'--from SOURCE' if report.external else '--race'}"
        found += [promote, *([f"hpo verify --study {name} --promotion"] if view.is_final else [])]
    return found


def next_steps(view: StudyView) -> list[Step]:
    """Returns what is worth doing next, the most useful first."""
    name, report, progress = view.study.name, view.report, view.progress
    found = []
    done = sum(count for state, count in progress.counts.items() if state in ("complete", "pruned", "failed"))
    if done < progress.wanted and progress.driven is None:
        found.append(Step(why=f"{done} of {progress.wanted} trials are done.", command=f"hpo run --study {name}"))
    if report is None:
        if progress.incumbent is not None or progress.front:
            why = "The best value of a search is partly luck: train the best trials on other seeds."
            found.append(Step(why=why, command=f"hpo promote --study {name}"))
        return found
    if not view.is_final:
        if progress.driven is None:
            found.append(Step(why="The promotion is not finished.", command=f"hpo promote --study {name}"))
        return found
    return [*found, *_after_promotion(view, report)]


def _after_promotion(view: StudyView, report: PromotionReport) -> list[Step]:
    name, found = view.study.name, []
    seeds, winner = list(report.ranking.seeds), view.winner
    if report.since:
        found.append(Step(why="The search has gone on since.", command=f"hpo promote --study {name}"))
    if winner is None:
        return found
    if len(seeds) < CALIBRATED:
        more = ",".join(map(str, [*seeds, *_fresh(seeds, CALIBRATED - len(seeds))]))
        why = f"With {counted(len(seeds), 'seed')} no chance of being best is known; {CALIBRATED} give one."
        found.append(Step(why=why, command=f"hpo promote --study {name} --seeds {more}"))
    if report.confirmation is None and not isinstance(report, FrontReport):
        held = ",".join(map(str, _fresh([*seeds, view.study.search.seed], 3)))
        why = "The winner was chosen on these seeds; held-out ones give an unbiased estimate."
        found.append(Step(why=why, command=f"hpo promote --study {name} --confirm-seeds {held}"))
    if winner in report.still_rising:
        why = (
            f"The best epoch is the last of {view.study.search.budget} under every seed: set a larger budget in the "
            "study file under a new name."
        )
        found.append(Step(why=why))
    if view.decomposition is None:
        why = "It is not known which source of randomness makes the noise."
        found.append(Step(why=why, command=f"hpo seeds decompose --study {name} --trial {winner}"))
    return found


def _fresh(seeds: Sequence[int], count: int) -> list[int]:
    """Returns seeds after the largest of some seeds."""
    return [max(seeds, default=41) + 1 + index for index in range(count)]


def time_of_one(seconds: float) -> str:
    """Returns the time of one training, with two digits if it is short."""
    return f"{seconds:.2g} s" if seconds < 10 else duration(seconds)


def _toml(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
