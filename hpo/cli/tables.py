"""What is printed on stdout: rankings, trials, studies; as text for people and as plain values for --json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hpo.api import (
    Confirmation,
    ImportOutcome,
    Progress,
    PromotionOutcome,
    PromotionReport,
    SearchOutcome,
    Verified,
)
from hpo.catalog import Checked
from hpo.certainty import CALIBRATED, Certainty
from hpo.cli.shown import counted, duration, number, params
from hpo.ranking import Ranking, Row
from hpo.records import Evaluation, Status
from hpo.search import Trial
from hpo.study import Study, notes

LEFT_OUT = 10
"""Reasons, and trials for each, that an import lists."""


def table(*columns: str, left: Sequence[str] = ()) -> Table:
    """Returns an empty table; columns are right-aligned but for those in `left`."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, justify="left" if column in left else "right", no_wrap=True)
    return made


def search_text(outcome: SearchOutcome, *, promotes: bool) -> str:
    """Returns what a search came to, and what to do next."""
    study, best = outcome.study, outcome.incumbent
    states = [
        f"{outcome.count(state)} {state if state != 'running' else 'to go on with'}"
        for state in ("complete", "pruned", "failed", "running")
        if outcome.count(state)
    ]
    lines = [f"{counted(outcome.own, 'trial')} in {duration(outcome.seconds)}: {', '.join(states) or 'none'}."]
    if imported := outcome.count("imported"):
        lines.append(f"It began with {counted(imported, 'imported trial')}.")
    if outcome.stopped:
        lines.append(f"Stopped. Go on with: hpo run --study {study.name}")
    elif outcome.timed_out:
        lines.append("Its time was up. What was running goes on next time, with the same command.")
    elif outcome.ended:
        lines.append(f"Ended: {outcome.ended}.")
    failed = [trial.number for trial in outcome.trials if trial.state == "failed"]
    if failed:
        lines.append(f"Failed: {', '.join(map(str, failed[:10]))}. See why: hpo show --study {study.name} {failed[0]}")
    infeasible = [trial.number for trial in outcome.trials if trial.state == "complete" and not trial.is_feasible]
    if infeasible:
        lines.append(f"Complete but breaking a constraint: {', '.join(map(str, infeasible[:10]))}.")
    if best is None:
        lines.append(f"No trial has completed{' and kept the constraints' if infeasible else ''}: no incumbent.")
    else:
        value = f"{study.objective.metric} {number(best.value)} on {study.seeds_said}"
        draw = "It was chosen for being good there" if study.search.seeding == "replicated" else "One seed is one draw"
        lines.append(
            f"Incumbent: trial {best.number}, {value}. {draw}"
            + ("." if promotes or outcome.stopped else f": hpo promote --study {study.name}")
        )
    return "\n".join(lines)


def ranking_table(report: PromotionReport) -> RenderableType:
    """Returns a ranking with every seed's value, and the conventions under it."""
    ranking, sure = report.ranking, report.certainty
    rule = ranking.rule
    seeds = [f"seed {seed}{'*' if seed in sure.seen else ''}" for seed in ranking.seeds]
    score = [rule.said(ranking.direction)] if rule.name != "mean" else []
    made = table(
        "rank",
        "trial",
        *seeds,
        "mean",
        "sigma",
        "CV %",
        *score,
        "95 % interval",
        f"search ({report.study.seeds_said.removeprefix('seed ')})",
    )
    at_best = "<=" if ranking.direction == "maximize" else ">="
    for row in ranking.rows:
        candidate = row.candidate
        values = [number(candidate.values.get(seed)) for seed in ranking.seeds]
        interval = f"{number(row.interval[0])} .. {number(row.interval[1])}" if row.interval else "-"
        variation = sure.variations.get(candidate.trial)
        made.add_row(
            str(row.rank) if row.rank else "incomplete" if row.bound is None else "not finished",
            str(candidate.trial),
            *values,
            number(row.mean),
            number(row.sigma),
            "-" if variation is None else f"{variation:.1f}",
            *([number(row.score) if row.bound is None else f"{at_best} {number(row.bound)}"] if score else []),
            interval,
            number(candidate.search_value),
        )
    count = len(ranking.seeds)
    note = f"sigma: ddof {rule.ddof} · score: {rule.said(ranking.direction)} · n = {count}"
    known = " · at n = 3 sigma itself is known to ±50 %" if count == 3 else ""
    seen = "".join(f" · * {seed} is a seed of the search's too" for seed in sure.seen)
    return Group(made, Text(note + known + seen, style="dim"))


def promotion_text(outcome: PromotionOutcome) -> str:
    """Returns what stands under a promotion's table."""
    lines = []
    ranking = outcome.ranking
    if len(ranking.rows) < outcome.asked_top:
        lines.append(
            f"Promoted {len(ranking.rows)}, not {outcome.asked_top}: no more trials with params of their own completed."
        )
    incomplete = [row.candidate.trial for row in ranking.rows if row.rank is None and row.bound is None]
    left_out = [row.candidate.trial for row in ranking.rows if row.bound is not None]
    if left_out:
        lines.append(
            f"Not finished, for they could not win any more: trial {', '.join(map(str, left_out))}. "
            "The whole grid has the same winner."
        )
    if incomplete:
        shown = ", ".join(map(str, incomplete))
        lines.append(
            f"Incomplete, so not ranked: trial {shown}. See why: hpo show --study {outcome.study.name} {incomplete[0]}"
        )
    lines.append(certainty_text(outcome.report))
    if ranking.winner is None:
        return "\n".join([*lines, "Nothing was written."])
    lines.append(
        "Trained now: none, all replicates were recorded."
        if not outcome.trained
        else f"Trained now: {outcome.trained}."
    )
    lines += [f"Note: {note.key}: {note.message}." for note in notes(outcome.study)]
    names = "  ".join(path.name for path in outcome.results)
    lines.append(f"Written: {outcome.folder}/  {names}  promotion.csv  .json  .md  .tex  .html")
    return "\n".join(lines)


def certainty_text(report: PromotionReport) -> str:
    """Returns who won, and how sure that is."""
    ranking, sure = report.ranking, report.certainty
    winner = ranking.winner
    if winner is None:
        return "No candidate is complete, so there is no winner."
    trial = winner.candidate.trial
    changes = ", ".join(f"{name} (trial {other})" for name, other in sure.changes.items())
    stays = f" It stays under: {', '.join(sure.stays)}." if sure.changes and sure.stays else ""
    unknown = f" Not known, as replicates were left out: {', '.join(sure.unknown)}." if sure.unknown else ""
    says = f"It changes under: {changes or 'none'}.{stays}{unknown}"
    lines = [f"Winner: trial {trial}, score {number(winner.score)}. {says}"]
    if ranking.undecided:
        lines.append(
            f"Not decided: with the replicates that were left out trial {', '.join(map(str, ranking.undecided))} could "
            "have won by this rule. Train them: hpo promote without --curtail"
        )
    if sure.seen:
        without = "is not known" if sure.unseen_winner is None else f"is trial {sure.unseen_winner}"
        lines.append(f"Seed {', '.join(map(str, sure.seen))} was the search's too; the winner without it {without}.")
    incumbent = _incumbent(ranking)
    if incumbent is not winner:
        lines.append(
            f"The search alone would have named trial {incumbent.candidate.trial} "
            f"({number(incumbent.candidate.search_value)} on {report.study.seeds_said})."
        )
    if sure.optimism is not None:
        side = "above" if ranking.direction == "maximize" else "below"
        interval = sure.optimism_interval
        known = f" (95 %: {number(interval[0])} .. {number(interval[1])})" if interval else ""
        rho = "" if sure.correlation is None else f"; rank correlation {number(sure.correlation)}"
        lines.append(f"Optimism: search values lie {number(sure.optimism)} {side} the candidates' means{known}{rho}.")
    if report.confirmation is not None:
        lines.append(_confirmed(report.confirmation, winner))
    if chance := sure.chances.get(trial):
        lines.append(_chance(sure, trial, chance, len(ranking.seeds)))
    return "\n".join(lines)


def _confirmed(found: Confirmation, winner: Row) -> str:
    seeds = ", ".join(f"{seed}: {number(value)}" for seed, value in found.values.items())
    if found.mean is None or winner.mean is None:
        return f"Confirmed: nothing, no replicate completed ({seeds})."
    interval = f" (95 %: {number(found.interval[0])} .. {number(found.interval[1])})" if found.interval else ""
    spread = "" if found.sigma is None else f" ± {number(found.sigma)}"
    return (
        f"Unbiased estimate of the winner, on seeds of no choice ({seeds}): "
        f"mean {number(found.mean)}{spread}{interval}; the promotion's seeds said {number(winner.mean)}."
    )


def _chance(sure: Certainty, trial: int, chance: float, count: int) -> str:
    rough = " (rough below 6 seeds)" if count < CALIBRATED else ""
    text = f"P(trial {trial} is best) about {100 * chance:.0f} %{rough}"
    against = next((pair for pair in sure.pairs if pair.first == trial), None)
    if against is None:
        return f"{text}."
    better = f"better on {against.outperformance * count:g} of {count} seeds"
    decided = "" if against.decidable else f", not decidable at n = {count}"
    return f"{text} · trial {trial} against {against.second}: {better}{decided}."


def _incumbent(ranking: Ranking) -> Row:
    """Returns the candidate that the search had put first: of equal ones the lower number, as it did."""
    sign = -1.0 if ranking.direction == "maximize" else 1.0
    return min(ranking.rows, key=lambda row: (sign * (row.candidate.search_value or 0.0), row.candidate.trial))


def ranking_values(report: PromotionReport) -> dict[str, object]:
    """Returns a promotion's report as plain values."""
    return {**report.values(), "candidates": report.candidates()}


def verified_text(found: Sequence[Verified]) -> str:
    """Returns for each training whether its bits are the same, and if not, where and why they may differ."""
    lines = [line for one in found for line in _verified(one)]
    same = sum(one.is_identical for one in found)
    return "\n".join([*lines, f"{same} of {counted(len(found), 'training')} identical."])


def _verified(one: Verified) -> list[str]:
    job = one.recorded.job
    who = f"{job.stage} trial {job.trial} seed {job.seed}"
    if one.again.status is not Status.COMPLETE:
        return [f"{who}   FAILED   {(one.again.error or '').splitlines()[-1]}"]
    if one.is_identical:
        digests = one.recorded.digests
        compared = "   ".join(f"{name} {digests.get(name, '')[:8]}".strip() for name in one.same)
        return [f"{who}   {compared}   identical"]
    differ = ", ".join(name for name, same in one.same.items() if not same)
    where = f" from epoch {one.epoch}" if one.epoch is not None else ""
    tensor = ""
    if one.tensor is not None:
        size = "of another shape" if one.tensor.size is None else f"max |d| {one.tensor.size:.1e}"
        tensor = f": {one.tensor.tensor}, {size}"
    lines = [f"{who}   DIFFERS{where} in {differ}{tensor}"]
    lines += [f"    recorded with {name} {was}, now {now}" for name, (was, now) in one.circumstances.items()]
    if "threads" in one.circumstances:
        lines.append(f"    use --cpus-per-trial {one.circumstances['threads'][0]}")
    if not one.circumstances:
        lines.append("    nothing that is recorded of how it was trained has changed: is the trainable deterministic?")
    return lines


def verified_values(one: Verified) -> dict[str, object]:
    """Returns one comparison as plain values."""
    job = one.recorded.job
    return {
        "stage": str(job.stage),
        "trial": job.trial,
        "seed": job.seed,
        "identical": one.is_identical,
        "same": dict(one.same),
        "first_other_epoch": one.epoch,
        "tensor": asdict(one.tensor) if one.tensor else None,
        "circumstances": {name: {"recorded": was, "now": now} for name, (was, now) in one.circumstances.items()},
        "error": one.again.error,
    }


def progress_table(found: Sequence[Progress]) -> RenderableType:
    """Returns how studies stand, a row each."""
    made = table(
        "study",
        "objective",
        "trials",
        "states",
        "incumbent",
        "promoted",
        "driver",
        left=("study", "objective", "states", "promoted", "driver"),
    )
    for one in found:
        best = f"{number(one.incumbent.value)} (trial {one.incumbent.number})" if one.incumbent else "-"
        promoted = f"trial {one.promoted}: {', '.join(one.results)}" if one.promoted is not None else "-"
        driver = f"{one.driver.host} pid {one.driver.pid}" if one.driver and one.driver.alive else "-"
        states = ", ".join(f"{count} {state}" for state, count in one.counts.items()) or "-"
        own = sum(count for state, count in one.counts.items() if state != "imported")
        made.add_row(
            one.name,
            f"{one.direction} {one.metric}",
            f"{own} of {one.wanted}",
            states,
            best,
            promoted,
            driver,
        )
    return made


def studies_table(found: Sequence[Checked]) -> RenderableType:
    """Returns study files, a row each."""
    made = table("study", "objective", "trials", "epochs", "file", left=("study", "objective", "file"))
    for one in found:
        if one.study is None:
            made.add_row(
                one.path.stem,
                f"{counted(len(one.problems), 'problem')}: hpo check --study {one.path.stem}",
                "-",
                "-",
                near(one.path),
            )
        else:
            study = one.study
            objective = f"{study.objective.direction} {study.objective.metric}"
            made.add_row(study.name, objective, str(study.search.trials), str(study.search.budget), near(one.path))
    return made


def trial_text(trial: Trial, evaluations: Sequence[Evaluation], metric: str) -> RenderableType:
    """Returns one trial with its evaluations."""
    parts: list[RenderableType] = [
        Text(f"trial {trial.number}   {trial.state}   {metric} {number(trial.value)}"),
        Text(params(trial.params)),
        *([Text(f"from: {trial.origin}")] if trial.origin else []),
    ]
    if trial.constraints:
        broken = "kept" if trial.is_feasible else "broken: neither incumbent nor candidate"
        said = " ".join(f"{name}={number(value)}" for name, value in trial.constraints.items())
        parts.append(Text(f"constraints {said}   {broken}"))
    made = table("stage", "seed", "status", metric, "epoch", "seconds", "weights", left=("stage", "status", "weights"))
    for one in evaluations:
        made.add_row(
            str(one.job.stage),
            str(one.job.seed),
            str(one.status),
            number(one.value),
            f"{one.step or '-'}/{one.job.budget}",
            f"{one.seconds:.1f}",
            one.digests.get("weights", "-")[:12],
        )
    if evaluations:
        parts.append(made)
    parts += [Text(f"seed {one.job.seed}: {remark}") for one in evaluations for remark in one.remarks]
    failures = {one.error for one in evaluations if one.error} or ({trial.error} if trial.error else set())
    parts += [Text(f"\n{error}") for error in failures]
    return Group(*parts)


def import_text(outcome: ImportOutcome) -> str:
    """Returns what an import came to, and what to do next."""
    known = f"{counted(outcome.imported, 'trial')} of study {outcome.source_study} in {outcome.source}"
    lines = [f"Imported: {known}{'' if outcome.new == outcome.imported else f' ({outcome.new} new)'}."]
    for why, count in Counter(outcome.left_out.values()).most_common(LEFT_OUT):
        numbers = [number for number, reason in outcome.left_out.items() if reason == why]
        more = ", ..." if count > LEFT_OUT else ""
        lines.append(f"Left out: trial {', '.join(map(str, numbers[:LEFT_OUT]))}{more}: {why}.")
    lines.append(f"They inform the search and count nowhere else: hpo run --study {outcome.study.name}")
    return "\n".join(lines)


def import_values(outcome: ImportOutcome) -> dict[str, object]:
    """Returns an import as plain values."""
    return {
        "study": outcome.study.name,
        "from": outcome.source,
        "from_study": outcome.source_study,
        "imported": outcome.imported,
        "new": outcome.new,
        "left_out": {str(number): why for number, why in outcome.left_out.items()},
    }


def progress_values(one: Progress) -> dict[str, object]:
    """Returns how a study stands as plain values."""
    return asdict(one)


def trial_values(trial: Trial, evaluations: Sequence[Evaluation]) -> dict[str, object]:
    """Returns one trial as plain values."""
    return {**asdict(trial), "evaluations": [evaluation_values(one) for one in evaluations]}


def evaluation_values(one: Evaluation) -> dict[str, object]:
    """Returns one evaluation as plain values."""
    job = one.job
    return {
        "stage": str(job.stage),
        "trial": job.trial,
        "seed": job.seed,
        "fold": job.fold,
        "budget": job.budget,
        "params": dict(job.params),
        "status": str(one.status),
        "value": one.value,
        "step": one.step,
        "seconds": one.seconds,
        "error": one.error,
        "remarks": list(one.remarks),
        "digests": dict(one.digests),
        "fingerprint": dict(one.fingerprint),
        "metrics": dict(one.metrics),
        "reports": [{"step": report.step, **report.metrics} for report in one.reports],
    }


def search_values(outcome: SearchOutcome) -> dict[str, object]:
    """Returns a search as plain values."""
    return {
        "study": outcome.study.name,
        "objective": outcome.study.objective.metric,
        "direction": outcome.study.objective.direction,
        "seed": outcome.study.search.seed,
        "seeding": outcome.study.search.seeding,
        "seconds": round(outcome.seconds, 3),
        "stopped": outcome.stopped,
        "ended": outcome.ended,
        "timed_out": outcome.timed_out,
        "incumbent": asdict(outcome.incumbent) if outcome.incumbent else None,
        "trials": [asdict(trial) for trial in outcome.trials],
    }


def study_values(found: Checked) -> dict[str, object]:
    """Returns a study file as plain values."""
    problems = [{"key": problem.key, "message": problem.message} for problem in found.problems]
    study: Study | None = found.study
    return {"path": str(found.path), "study": study.content() if study else None, "problems": problems}


def near(path: Path) -> str:
    """Returns a path as the user would type it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
