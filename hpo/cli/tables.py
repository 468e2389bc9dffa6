"""What is printed on stdout: rankings, trials, studies; as text for people and as plain values for --json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from hpo.api import ImportOutcome, Progress, SearchOutcome, Verified
from hpo.core.code import describe_difference
from hpo.core.devices import describe_devices, device_of
from hpo.core.formatting import counted, near, number, params, quantity
from hpo.core.records import Alert, Evaluation, Objective, Stage
from hpo.core.shown import Grid, Page
from hpo.study import Study, Trial
from hpo.study.loading import Checked

LEFT_OUT = 10
"""Reasons, and trials for each, that an import lists."""


def verified_values(one: Verified) -> dict[str, object]:
    """Returns one comparison as plain values."""
    job = one.recorded.job
    return {
        "stage": str(job.stage),
        "trial": job.trial,
        "seed": job.seed,
        "fold": job.fold,
        "identical": one.is_identical,
        "same": dict(one.same),
        "first_other_epoch": one.epoch,
        "metrics": list(one.metrics),
        "tensor": asdict(one.tensor) if one.tensor else None,
        "circumstances": {name: {"recorded": was, "now": now} for name, (was, now) in one.circumstances.items()},
        "error": one.again.error,
    }


def progress_table(found: Sequence[Progress]) -> Page:
    """Returns how studies stand, a row each."""
    made = Grid(
        "study",
        "objective",
        "trials",
        "states",
        "incumbent",
        "promoted",
        "spent",
        "driver",
        left=("study", "objective", "states", "promoted", "spent", "driver"),
        spare=(("promoted",), ("states",), ("spent",), ("driver",), ("objective",)),
    )
    for one in found:
        best = f"{number(one.incumbent.value)} (trial {one.incumbent.number})" if one.incumbent else "-"
        best = f"front of {counted(len(one.front), 'trial')}" if one.front else best
        promoted = f"trial {one.promoted}: {', '.join(one.results)}" if one.promoted is not None else "-"
        promoted += f" ({describe_since(one)})" if one.since else ""
        states = ", ".join(f"{count} {state}" for state, count in one.counts.items()) or "-"
        own = sum(count for state, count in one.counts.items() if state != "imported")
        made.add_row(
            one.name,
            one.objective,
            f"{own} of {one.wanted}",
            states,
            best,
            promoted,
            str(one.spent),
            _driver(one),
        )
    doubtful = [one for one in found if one.not_reproducible]
    lines = [f"! {one.name} is not reproducible: {'; '.join(one.not_reproducible)}." for one in doubtful]
    lines += [f"{one.name}: {one.prior}" for one in found if one.prior is not None]
    return Page([made, *lines])


def describe_since(one: Progress) -> str:
    """Returns how many trials a promotion knows nothing of, e.g. `2 trials completed since`."""
    return f"{counted(one.since, 'trial')} completed since"


def _driver(one: Progress) -> str:
    """Returns who drives a study, as which job, and whether it was asked to pause or to stop."""
    driver = one.driven
    said = [f"{driver.host} pid {driver.pid}"] if driver else []
    if driver and driver.job:
        said.append(driver.job)
    elif one.job and one.pending:
        said.append(f"submitted as {one.job}")
    said += ["stopping"] * (driver is not None and driver.stopping) + ["paused"] * one.paused
    return ", ".join(said) or "-"


def studies_table(found: Sequence[Checked]) -> Grid:
    """Returns study files, a row each."""
    made = Grid(
        "study",
        "objective",
        "trials",
        "epochs",
        "file",
        left=("study", "objective", "file"),
        spare=(("objective",), ("trials",), ("epochs",)),
    )
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
            search, objective = study.search, str(study.objective)
            made.add_row(study.name, objective, str(search.trials), str(search.budget), near(one.path))
    return made


def trial_text(trial: Trial, evaluations: Sequence[Evaluation], objective: Objective) -> Page:
    """Returns one trial with its evaluations."""
    values = zip(objective.metrics, trial.vector or (trial.value,) * len(objective.metrics), strict=True)
    parts: list[str | Grid] = [
        f"trial {trial.number}   {trial.state}   {'   '.join(f'{name} {quantity(one)}' for name, one in values)}",
        params(trial.params) + (f"   (defaults: {said})" if (said := describe_defaults(evaluations)) else ""),
        *([f"from: {trial.origin}"] if trial.origin else []),
    ]
    if trial.not_reproducible:
        parts.append(f"! Not reproducible: {trial.not_reproducible}.")
    if trial.constraints:
        broken = "kept" if trial.is_feasible else "broken: neither incumbent nor candidate"
        said = " ".join(f"{name}={number(value)}" for name, value in trial.constraints.items())
        parts.append(f"constraints {said}   {broken}")
    alarmed = any(one.alerts for one in evaluations)
    names = ["stage", "seed", "status", *objective.metrics, "epoch", "seconds", "device"]
    made = Grid(
        *names,
        *["alerts"] * alarmed,
        "weights",
        left=("stage", "status", "device", "weights"),
        keys=2,
        spare=(("seconds",), ("device",), ("weights",)),
    )
    shown = [one for one in evaluations if one.job.stage in (Stage.SEARCH, Stage.PROMOTION)]
    for one in shown:
        made.add_row(
            str(one.job.stage),
            one.job.seed_text,
            str(one.status),
            number(one.value),
            *(number(one.metrics.get(name)) for name, _ in objective.others),
            f"{one.step or '-'}/{one.job.budget}",
            f"{one.seconds:.1f}",
            device_of(one),
            *[str(len(one.alerts))] * alarmed,
            one.digests.get("weights", "-")[:12],
        )
    if shown:
        parts.append(made)
    names_of = {f"{one.job.stage} seed {one.job.seed_text}": one.code for one in shown}
    if (difference := describe_difference(names_of)) is not None:
        parts.append(difference)
    for stage, command in ((Stage.DECOMPOSITION, "decompose"), (Stage.REPLAY, "replay")):
        if count := sum(one.job.stage is stage for one in evaluations):
            parts.append(f"{counted(count, 'training')} of hpo seeds {command}; each is in --json")
    if (devices := describe_devices(shown, 0)) is not None:
        parts.append(f"! {devices}")
    parts += [f"seed {one.job.seed_text}: {remark}" for one in evaluations for remark in one.remarks]
    parts += [f"seed {one.job.seed_text}: {describe_alert(alert)}" for one in evaluations for alert in one.alerts]
    failures = {one.error for one in evaluations if one.error} or ({trial.error} if trial.error else set())
    parts += [f"\n{error}" for error in failures]
    return Page(parts)


def describe_defaults(evaluations: Sequence[Evaluation]) -> str:
    """Returns the defaults of the params that nobody set: `bonus=0.0 width=8`; nothing where none were recorded."""
    return " ".join(f"{name}={value}" for one in evaluations[:1] for name, value in one.defaults.items())


def describe_alert(alert: Alert) -> str:
    """Returns what was seen to go wrong: `exploding in epoch 3: a gradient's norm was ...`."""
    return f"{alert.kind} in epoch {alert.epoch}: {alert.message}"


def import_text(outcome: ImportOutcome) -> str:
    """Returns what an import came to, and what to do next."""
    known = f"{counted(outcome.imported, 'trial')} of study {outcome.source_study} in {outcome.source}"
    lines = [f"Imported: {known}{'' if outcome.new == outcome.imported else f' ({outcome.new} new)'}."]
    if outcome.recognized:
        lines.append(f"Read: {'; '.join(outcome.recognized)}.")
    for why, count in Counter(outcome.left_out.values()).most_common(LEFT_OUT):
        numbers = [number for number, reason in outcome.left_out.items() if reason == why]
        more = ", ..." if count > LEFT_OUT else ""
        lines.append(f"Left out: trial {', '.join(map(str, numbers[:LEFT_OUT]))}{more}: {why}.")
    lines += _steps_said(outcome)
    lines.append(f"They inform the search and count nowhere else: hpo run --study {outcome.study.name}")
    return "\n".join(lines)


def _steps_said(outcome: ImportOutcome) -> Iterator[str]:
    first, last, budget = outcome.first_step, outcome.last_step, outcome.study.search.budget
    if last is None:
        yield "None of them reported values at steps, so they inform the sampler and not the pruner."
        return
    if outcome.moved:
        yield "Steps are counted from 0 there and from 1 here: each was moved by one."
    elif first == 1:
        yield "Steps are counted from 1 there, as here."
    else:
        yield f"The lowest step there is {first}; steps were taken as they are, as epochs counted from 1."
    if last != budget:
        yield (
            f"Their last step is {last} and the budget of this study is {budget}: values at other budgets may mislead "
            "the search, and the pruner compares equal steps."
        )


def import_values(outcome: ImportOutcome) -> dict[str, object]:
    """Returns an import as plain values."""
    return {
        "study": outcome.study.name,
        "from": outcome.source,
        "from_study": outcome.source_study,
        "imported": outcome.imported,
        "new": outcome.new,
        "first_step": outcome.first_step,
        "steps_moved": outcome.moved,
        "last_step": outcome.last_step,
        "left_out": {str(number): why for number, why in outcome.left_out.items()},
    }


def trial_values(trial: Trial, evaluations: Sequence[Evaluation]) -> dict[str, object]:
    """Returns one trial as plain values."""
    defaults = evaluations[0].defaults if evaluations else {}
    return {**trial.plain(), "defaults": defaults, "evaluations": [one.plain() for one in evaluations]}


def search_values(outcome: SearchOutcome) -> dict[str, object]:
    """Returns a search as plain values."""
    return {
        "study": outcome.study.name,
        "objective": outcome.study.objective.metric,
        "direction": outcome.study.objective.direction,
        **({"objectives": outcome.study.objective.by_metric} if outcome.study.objective.others else {}),
        **({"front": [trial.number for trial in outcome.front]} if outcome.study.objective.others else {}),
        "seed": outcome.study.search.seed,
        "seeding": outcome.study.search.seeding,
        "seconds": round(outcome.seconds, 3),
        "stopped": outcome.stopped,
        "ended": outcome.ended,
        "timed_out": outcome.timed_out,
        "limit": outcome.limit,
        "spent": outcome.spent.plain(),
        "open": list(outcome.open),
        "events": outcome.events,
        "incumbent": outcome.incumbent.plain() if outcome.incumbent else None,
        "trials": [trial.plain() for trial in outcome.trials],
        "of_other_code": outcome.of_other_code,
        "warnings": list(outcome.warnings),
        **({"kept": outcome.kept.plain()} if outcome.kept else {}),
        **({"prior": outcome.prior.plain()} if outcome.prior else {}),
    }


def study_values(found: Checked) -> dict[str, object]:
    """Returns a study file as plain values."""
    problems = [{"key": problem.key, "message": problem.message} for problem in found.problems]
    study: Study | None = found.study
    return {"path": str(found.path), "study": study.content() if study else None, "problems": problems}
