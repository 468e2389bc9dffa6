"""`decompose`: how much each source of randomness affects one trial's result."""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hpo.analysis.decomposition import Decomposition, SourceLine
from hpo.analysis.draws import Draws
from hpo.analysis.options import DecomposeOptions
from hpo.analysis.replay import Replays, compare_bits
from hpo.core.errors import UsageError, did_you_mean
from hpo.core.files import Guard, explain_write_errors, write_text
from hpo.core.records import Evaluation, Job, Status
from hpo.core.run_config import RunConfig
from hpo.driver.options import accepts_options
from hpo.driver.resources import require_runnable
from hpo.driver.session import Folds, RunContext, Session, resolve_study
from hpo.figures.report import write_page
from hpo.promotion.grid import PromotionSource
from hpo.results import json_text, require_writable, table_text
from hpo.seeds.streams import STREAMS
from hpo.stats.collapse import collapse_of
from hpo.stats.seed_use import CLOCKS
from hpo.stats.variance import effects_of
from hpo.study import Study

MOST_DRAWS = 10_000
"""Upper limit, which catches mistyped numbers."""


@accepts_options(DecomposeOptions)
def decompose(study: Study | str, config: RunConfig | None, options: DecomposeOptions) -> Decomposition:
    """Trains n random draws of a trial, each again with one source redrawn, and repeats one job.

    That is n (sources + 1) + replays trainings. Recorded trainings are not repeated, so a larger n adds draws, and
    interrupted work continues. All seeds are derived from the search's seed.

    Args:
        study: the study itself, or its name.
        config: where it is stored and run; None: the defaults.
        options: one value, or its fields as keywords.

    Raises:
        NothingToPromote: if the study has not been searched.
        CodeChanged: if earlier trainings used other code, and that is not accepted.
        UsageError: if an argument is invalid; nothing was written.
    """
    study = resolve_study(study)
    context = RunContext.of(study, config, options)
    trial, n = options.trial, options.n
    config, stop = context.config, context.stop
    names, folder = _sources(study, options.sources), config.outputs / study.name
    if not 2 <= n <= MOST_DRAWS:
        raise UsageError(f"n must be 2 to {MOST_DRAWS} draws, not {n}: one draw has no variance")
    require_runnable(study, config)
    require_writable(folder)
    metric = options.metric or study.objective.metric
    with Session.open(study, context, accept_code_change=options.accept_code_change) as session:
        params = session.trial(trial).params
        _refuse_unknown_metric(metric, session, trial)
        draws = Draws.of(
            trial,
            params,
            seed=study.search.seed,
            count=n,
            replays=options.replays,
            sources=names,
            budget=study.search.budget,
            streams=study.streams,
            fold=1 if study.validation else 0,  # of each draw's own partition; a mean over folds would hide the split
        )
        with session.drive("decompose"):
            source = PromotionSource(draws.jobs)
            recorded = session.compose(source, folds=Folds.CHOSEN)
            session.begin(len(draws.jobs), recorded.known(draws.jobs))
            session.train(recorded)
            known = source.by_key
            values = {key: _value(one, metric, study) for key, one in known.items()}
            if known and not stop.is_set() and all(value is None for value in values.values()):
                _refuse_metric(metric, known.values())
            outcome = Decomposition(
                study=study,
                trial=trial,
                metric=metric,
                draws=draws,
                values=values,
                effects=None,
                lines=(),
                replays=None,
                failures=tuple(one.error or "" for one in known.values() if one.status is Status.FAILED),
                trained=recorded.trained,
                stopped=stop.is_set(),
            )
            return outcome if outcome.stopped else _written(_estimated(outcome, known), folder, session.guard)


def _sources(study: Study, wanted: Sequence[str] | None) -> tuple[str, ...]:
    if wanted is None:
        wanted = [name for name in STREAMS if name not in study.streams]
        if not wanted:
            raise UsageError(f"study {study.name!r} fixes every stream ([streams]), so no source is left to draw anew")
    if not wanted:
        raise UsageError(f"name at least one source to draw anew: {', '.join(STREAMS)}")
    for number, name in enumerate(wanted):
        if name not in STREAMS:
            raise UsageError(f"no source named {name!r}. Sources: {', '.join(STREAMS)}.{did_you_mean(name, STREAMS)}")
        if name in study.streams:
            raise UsageError(
                f"study {study.name!r} fixes {name} ([streams] {name} = {study.streams[name]}), so it moves no result; "
                "leave it out of --sources"
            )
        if name in wanted[:number]:
            raise UsageError(f"source {name!r} is given twice")
    return tuple(name for name in STREAMS if name in wanted)


def _refuse_unknown_metric(metric: str, session: Session, trial: int) -> None:
    """Refuses a metric that no training of the trial has yielded, where there is one to ask."""
    known = session.store.evaluations(session.stored, trial=trial)
    if any(one.reports for one in known) and not any(
        metric in report.metrics for one in known for report in one.reports
    ):
        _refuse_metric(metric, known)


def _refuse_metric(metric: str, evaluations: Iterable[Evaluation]) -> None:
    names = list(dict.fromkeys(name for one in evaluations for report in one.reports for name in report.metrics))
    if names and metric not in names:
        raise UsageError(f"no metric named {metric!r}. Metrics: {', '.join(names)}.{did_you_mean(metric, names)}")


def _value(one: Evaluation, metric: str, study: Study) -> float | None:
    if one.status is not Status.COMPLETE:
        return None
    return one.value if metric == study.objective.metric else one.metrics.get(metric)


def _estimated(outcome: Decomposition, known: Mapping[tuple[object, ...], Evaluation]) -> Decomposition:
    draws, values, study = outcome.draws, outcome.values, outcome.study
    objective = study.objective
    metrics = {name for one in known.values() for report in one.reports for name in report.metrics}
    clocks = {name for name in metrics if CLOCKS.search(name) and name != objective.metric}
    ignore = clocks | set(objective.ignore)

    def of(jobs: Sequence[Job]) -> list[float | None]:
        return [values.get(job.key) for job in jobs]

    effects = effects_of(of(draws.base), {source: of(jobs) for source, jobs in draws.redrawn.items()})
    by_source = {effect.source: effect for effect in effects.effects} if effects else {}
    lines = []
    for source in [*by_source, *(name for name in draws.redrawn if name not in by_source)]:
        both = list(zip(draws.base, draws.redrawn[source], strict=True))
        pairs = [(a.key, b.key) for a, b in both if values.get(a.key) is not None and values.get(b.key) is not None]
        identical = sum(all(compare_bits(known[one], known[other], ignore).values()) for one, other in pairs)
        lines.append(SourceLine(source=source, effect=by_source.get(source), pairs=len(pairs), identical=identical))
    again = [job for job in (draws.base[0], *draws.replays) if values.get(job.key) is not None]
    replays = None
    if len(again) > 1 and again[0] is draws.base[0]:
        found = [value for value in of(again) if value is not None]
        replays = Replays.of([known[job.key] for job in again], found, objective.ignore)
    base = [known[job.key] for job in draws.base if values.get(job.key) is not None]
    reasons = [collapse_of(one, objective, study.objective_.limit) for one in base]
    counts = collections.Counter(values[one.job.key] for one in base)
    return replace(
        outcome,
        effects=effects,
        lines=tuple(lines),
        replays=replays,
        seed_is_ignored=len(base) > 1 and all(all(compare_bits(base[0], one, ignore).values()) for one in base[1:]),
        collapsed=tuple(reason for reason in reasons if reason is not None),
        most_alike=max(counts.values(), default=1),
    )


def _written(outcome: Decomposition, folder: Path, guard: Guard) -> Decomposition:
    """Writes JSON, CSV and the figure; nothing if nothing could be estimated."""
    if outcome.effects is None:
        return outcome
    other = outcome.metric != outcome.study.objective.metric
    name = f"decomposition-trial-{outcome.trial}"
    if other:
        name += "-" + re.sub(r"[^A-Za-z0-9._-]", "_", outcome.metric)
    files = tuple(folder / f"{name}.{kind}" for kind in ("html", "json", "csv"))
    with explain_write_errors(folder):
        write_page(files[0], outcome.figure(), "decomposition", guard)
        write_text(files[1], json_text(outcome.plain()), guard)
        write_text(files[2], table_text(outcome.rows()), guard)
    return replace(outcome, files=files)
