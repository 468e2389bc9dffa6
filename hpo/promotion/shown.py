"""The printed page of a promotion: the ranking, and how certain it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.core.formatting import curves_text, number, percent
from hpo.core.shown import Dim, Grid, Page
from hpo.promotion.front_shown import front_table
from hpo.promotion.fronts import FrontReport
from hpo.promotion.luck import searched_on
from hpo.promotion.race import Race
from hpo.promotion.sentences import certainty_text, seeds_text
from hpo.stats.confidence import Certainty
from hpo.stats.reliability import sigma_reliability
from hpo.stats.seed_use import Use
from hpo.stats.statistics import sigma_error
from hpo.study import notes
from hpo.study.functions import again

if TYPE_CHECKING:
    from hpo.promotion.promote import PromotionOutcome
    from hpo.promotion.report import PromotionReport

MOST_DEFAULTS = 8
"""Largest number of defaults listed under the table; more would hide the other notes."""


def ranking_table(report: PromotionReport) -> Page:
    """Returns the table of a ranking with the value under every seed, and notes on the conventions."""
    if isinstance(report, FrontReport):
        return front_table(report)
    ranking, sure = report.ranking, report.certainty
    rule = ranking.rule
    seeds = [f"seed {seed}{'*' if seed in sure.seen else ''}" for seed in ranking.seeds]
    score = [rule.formula(ranking.direction)] if rule.name != "mean" else []
    by_race, by_folds = report.race is not None, bool(report.folds)
    by_use = any(row.candidate.use is not Use.USED for row in ranking.rows)
    search = "search" if report.external else f"search ({report.study.search.seeds_text.removeprefix('seed ')})"
    columns = [
        "rank",
        "trial",
        *["source trial"] * bool(report.external),
        *seeds,
        "mean",
        "sigma",
        *["fold sd"] * by_folds,
        "CV %",
        *score,
        "95 % interval",
        search,
        *["alerts"] * bool(report.alerts),
        *["seeds"] * by_use,
    ]
    differing = report.params.columns(columns)
    texts = {name: report.params.texts(name) for name in differing}
    made = Grid(
        *columns,
        *differing.values(),
        left=[*differing.values()],
        keys=2,
        spare=(seeds, [search], ["95 % interval"], ["fold sd"], ["CV %"]),
        below=[*differing.values()],
    )
    at_best = "<=" if ranking.direction == "maximize" else ">="
    for row in ranking.rows:
        candidate = row.candidate
        values = [number(candidate.values.get(seed)) for seed in ranking.seeds]
        interval = f"{number(row.interval[0])} .. {number(row.interval[1])}" if row.interval else "-"
        variation = sure.variations.get(candidate.trial)
        made.add_row(
            report.standing(row),
            str(candidate.trial),
            *[one.origin.label for one in [report.external.get(candidate.trial)] if one],
            *values,
            number(row.mean),
            number(row.sigma),
            *[number(report.folds[candidate.trial].sigma if candidate.trial in report.folds else None)] * by_folds,
            per_cent(variation),
            *(
                [number(row.score) if row.bound is None or by_race else f"{at_best} {number(row.bound)}"]
                if score
                else []
            ),
            interval,
            number(candidate.search_value),
            *[str(report.alerts.get(candidate.trial, 0))] * bool(report.alerts),
            *[str(candidate.use)] * by_use,
            *[texts[name].get(candidate.trial, "-") for name in differing],
        )
    count = len(ranking.seeds)
    note = f"sigma: ddof {rule.ddof} · score: {rule.formula(ranking.direction)} · n = {count}"
    note += " · no sigma at n = 1: candidates are ranked by their value" if count == 1 else ""
    note += " · no sigma for candidates that ignore the seed: not meaningful" if by_use else ""
    known = ""
    if ranking.sound and (error := sigma_error(count)) is not None:
        known = f" · at n = {count} sigma itself is known to ±{error} %"
    if sure.shrunken:
        share = 5 * round(20 * sigma_reliability(count))
        known += f" · about {share} % of a difference in sigma recurs under other seeds"
    seen = "".join(f" · * {seed} is also a seed of the search" for seed in sure.seen)
    validation = report.study.validation
    folds = (
        f"\na seed's value is the mean over {validation}; fold sd: between the folds of a seed" if validation else ""
    )
    source = searched_on(report.study, report.external)
    there = f"\ntrials and search values are those of {source}" if report.external else ""
    explained = Dim(note + known + seen + there + folds + _defaults(report))
    race = [] if report.race is None else _race(report.race, report.refined).blocks
    return Page([*(f"! {warning}" for warning in report.warnings), made, explained, *race])


def _defaults(report: PromotionReport) -> str:
    """Returns the defaults that all candidates share; those of conditional params are only in --json."""
    first, *others = report.defaults.values() or [{}]
    shared = {name: value for name, value in first.items() if all(one.get(name) == value for one in others)}
    if len(shared) > MOST_DEFAULTS:
        number = report.ranking.rows[0].candidate.trial
        where = f"hpo show --study {report.study.name} {number}"
        return f"\n{len(shared)} params are not set by the study, so the trainable's defaults apply: {where}"
    listed = ", ".join(f"{name} = {value}" for name, value in shared.items())
    return f"\nnot set by the study, so the trainable's default applies: {listed}" if listed else ""


def _race(race: Race, sure: Certainty | None) -> Page:
    """Returns the rungs of a race and the table of its last one."""
    rule, direction = race.final.rule, race.final.direction
    rungs = ", ".join(f"{len(rung.entered)} under {seeds_text(rung.seeds)}" for rung in race.rungs)
    score = [rule.formula(direction)] if rule.name != "mean" else []
    count = len(race.rungs[-1].seeds)
    chances = sure.chances if sure else {}
    made = Grid(
        "rank",
        "trial",
        f"mean of {count} seeds",
        "sigma",
        "CV %",
        *score,
        "95 % interval",
        *["P(best)"] * bool(chances),
        keys=2,
        spare=(["95 % interval"], ["CV %"]),
    )
    for row in race.final.rows:
        trial = row.candidate.trial
        variation = sure.variations.get(trial) if sure else None
        chance = chances.get(trial)
        made.add_row(
            row.standing,
            str(trial),
            number(row.mean),
            number(row.sigma),
            per_cent(variation),
            *([number(row.score)] if score else []),
            f"{number(row.interval[0])} .. {number(row.interval[1])}" if row.interval else "-",
            *["-" if chance is None else percent(chance)] * bool(chances),
        )
    return Page([f"Race: {rungs}. Its last rung:", made])


def per_cent(variation: float | None) -> str:
    """Returns a coefficient of variation with one decimal; `< 0.1` if it would round to 0."""
    if variation is None:
        return "-"
    return "< 0.1" if 0 < variation < 0.05 else f"{variation:.1f}"


def report_page(report: PromotionReport) -> Page:
    """Returns the page of a ranking: its table, and how certain it is."""
    table = ranking_table(report).blocks
    return Page([*table, *estimate_blocks(report), certainty_text(report), winner_params_text(report)])


def promotion_page(outcome: PromotionOutcome, command: str | None = None) -> Page:
    """Returns the page of a promotion: its table and the text under it.

    Args:
        outcome: the result of the promotion.
        command: what goes on with a stopped promotion; None: `hpo promote`, or the function in a session.
    """
    if outcome.stopped and outcome.costs and outcome.costs.limit:
        again_ = "with a larger limit the same command goes on"
        return Page([f"Ended, and nothing is ranked: {outcome.costs.limit}; {again_}. Spent: {outcome.costs.spent}."])
    if outcome.stopped and outcome.report.external and command is None:
        return Page(["Stopped. Continue with the same command."])
    if outcome.stopped:
        return Page([f"Stopped. Continue with: {command or again('promote', outcome.study)}"])
    table = ranking_table(outcome.report).blocks
    return Page([*table, *estimate_blocks(outcome.report), promotion_text(outcome)])


def estimate_blocks(report: PromotionReport) -> list[str | Grid]:
    """Returns the table of the winner's metrics with their intervals, and a note on it; empty if none are known."""
    found = report.estimate
    if found is None or not found.parts:
        return []
    note = "over seeds: Student's interval of the mean; over cases or groups: bootstrap of these models"
    if found.with_ensemble:
        note += " · ensemble: mean of the models' probabilities, nothing was trained"
    return [f"Trial {found.trial} in detail:", found.table(), Dim(note)]


def winner_params_text(report: PromotionReport) -> str:
    """Returns a line with the winner's params, for the end of what is printed; empty if there is no winner."""
    params, winner = report.params, report.winner.candidate.trial if report.winner else None
    if winner is None or not params.of(winner):
        return ""
    listed = " ".join(f"{name}={params.texts(name)[winner]}" for name in params.of(winner))
    place = "the winner" if report.is_decided else "which is ranked first"
    return f"Params of trial {winner}, {place}: {listed}"


def promotion_text(outcome: PromotionOutcome) -> str:
    """Returns the text under a promotion's table."""
    lines = []
    ranking = outcome.ranking
    if len(ranking.rows) < outcome.asked_top:
        lines.append(
            f"Promoted {len(ranking.rows)}, not {outcome.asked_top}: no more trials with different params completed."
        )
    incomplete = [row.candidate.trial for row in ranking.rows if row.rank is None and row.bound is None]
    left_out = [row.candidate.trial for row in ranking.rows if row.bound is not None]
    if left_out and outcome.report.race is None:
        lines.append(
            f"Not finished, because they can no longer win: trial {', '.join(map(str, left_out))}. "
            "The whole grid has the same winner."
        )
    lines += [f"Read: {'; '.join(outcome.recognized)}."] if outcome.recognized else []
    lines += [f"Left out: {one.origin}, with value {number(one.value)}: {one.reason}." for one in outcome.left_out]
    if incomplete:
        shown = ", ".join(map(str, incomplete))
        lines.append(
            f"Incomplete, so not ranked: trial {shown}. See why: hpo show --study {outcome.study.name} {incomplete[0]}"
        )
    if outcome.open:
        lines.append(
            f"Left out: trial {', '.join(map(str, outcome.open))}, whose search training is not over. "
            f"Finish it, then promote again: hpo run --study {outcome.study.name}"
        )
    lines.append(certainty_text(outcome.report))
    if outcome.report.winner is None:
        return "\n".join([*lines, "Nothing was written."])
    lines.append(
        "Trained now: none, all replicates were recorded."
        if not outcome.trained
        else f"Trained now: {outcome.trained}."
    )
    lines += [f"Note: {note.key}: {note.message}." for note in notes(outcome.study)]
    names = "  ".join(path.name for path in outcome.results)
    lines += curves_text(outcome.events)
    if outcome.ignores_seeds:
        lines.append("The exit status is 1, because a candidate ignores its seed; --allow-ignored-seed accepts it.")
    if outcome.costs and outcome.costs.spent.seconds:
        lines.append(f"Spent so far: {outcome.costs.spent}.")
    lines.append(f"Written: {outcome.folder}/  {names}  promotion.csv  .json  .md  .tex  .html")
    lines.append(winner_params_text(outcome.report))
    return "\n".join(lines).rstrip("\n")
