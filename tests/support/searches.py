"""Searches driven by hand: a toy objective, a driver that chance orders, and Optuna alone to compare with."""

from __future__ import annotations

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from hpo.core.protocols import DONE, Decision
from hpo.core.records import Evaluation, Job, Report, Status
from hpo.search.proposals import make_pruner, make_sampler, suggest
from hpo.search.source import SearchSource

TRIALS = 24


def value(params, step):
    """Curves that cross, so that pruning one trial or another makes a difference."""
    late = params.get("gain", 0.0) * (step / 5) ** 3
    return (1 - (params["x"] - 0.3) ** 2) * step / (step + params["k"]) + late


def cost(params):
    """Another objective, which is lower where the first one is bad."""
    return params["x"] ** 2 + 0.1 * params.get("gain", 0.0) + 0.01 * params["k"]


def metrics(params, step):
    return {"val": value(params, step), "cost": cost(params)}


def train(source, job, upto=None):
    """Reports one job step by step and tells it; with `upto` it is left open after that step."""
    reports = []
    for step in range(1, job.budget + 1):
        reports.append(Report(step=step, metrics=metrics(job.params, step), at=0.0))
        if source.report(job, step, value(job.params, step)) is Decision.STOP:
            source.tell(evaluation(job, Status.PRUNED, reports))
            return
        if step == upto:
            return
    source.tell(evaluation(job, Status.COMPLETE, reports))


def evaluation(job, status, reports):
    chosen = reports[-1] if status is Status.PRUNED else max(reports, key=lambda report: report.metrics["val"])
    return Evaluation(job=job, status=status, value=chosen.metrics["val"], step=chosen.step, reports=tuple(reports))


def open_source(durable, study, trials=TRIALS):
    return SearchSource(study, durable.open(study.name, study.objective, {}), trials)


def table(durable, study):
    return [(t.number, t.state, t.params, t.value, t.values) for t in durable.find(study.name).trials()]


def one_by_one(source):
    while (job := source.ask()) is not DONE:
        train(source, job)


def in_random_order(source, slots, draw):
    """Keeps `slots` jobs going and lets chance decide which reports next."""
    running, reports = {}, {}
    while True:
        while len(running) < slots and isinstance(job := source.ask(), Job):
            running[job.trial], reports[job.trial] = job, []
        if not running:
            return
        trial = draw.choice(sorted(running))
        job, said = running[trial], reports[trial]
        step = len(said) + 1
        said.append(Report(step=step, metrics=metrics(job.params, step), at=0.0))
        goes_on = source.report(job, step, said[-1].metrics["val"]) is Decision.CONTINUE
        if not goes_on or step == job.budget:
            source.tell(evaluation(job, Status.COMPLETE if goes_on else Status.PRUNED, said))
            del running[trial]


def plain_optuna(study, trials=TRIALS, known=()):
    """What anybody would write with Optuna alone, one trial after the other; other studies' trials are known."""
    ways, pruner = study.objective.directions, make_pruner(study)
    made = optuna.create_study(study_name=study.name, storage=InMemoryStorage(), directions=ways, pruner=pruner)
    made.add_trials(known)
    for number in range(len(known), len(known) + trials):
        made.sampler = make_sampler(study, number)
        trial = made.ask()
        params = suggest(trial, study.space)
        said = []
        for step in range(1, study.search.budget + 1):
            said.append(value(params, step))
            if len(ways) > 1:
                continue  # Optuna takes no reports then
            trial.report(said[-1], step)
            if trial.should_prune():
                made.tell(trial, state=TrialState.PRUNED)
                break
        else:
            made.tell(trial, [max(said), cost(params)][: len(ways)])
    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
    if len(ways) > 1:
        return [(t.number, states[t.state], t.params, tuple(t.values)) for t in made.trials]
    return [(t.number, states[t.state], t.params, t.value, t.intermediate_values) for t in made.trials]
