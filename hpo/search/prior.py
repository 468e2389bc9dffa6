"""Reads the old studies that a search starts from, as far as the new study has their params."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from hpo.core.errors import UsageError, did_you_mean
from hpo.core.records import Evaluation, Stage, Status, Value, canonical_json
from hpo.core.run_config import RunConfig
from hpo.driver.cross_validation import join_folds
from hpo.driver.status import as_stored
from hpo.driver.storage import storage, stored_study
from hpo.search.learned import FEWEST, has_value
from hpo.search.proposals import distributions
from hpo.search.transfer import is_usable
from hpo.search.units import MOST_CHOICES
from hpo.store import Store, masked
from hpo.store.optuna_storage.studies import OptunaStudies
from hpo.store.optuna_storage.trials import IMPORTED
from hpo.study import Study
from hpo.study.prior import Prior, PriorConfiguration, PriorStudy
from hpo.study.space import Choice, Dimension, same

STAGES = (Stage.SEARCH, Stage.PROMOTION)
"""Whose trainings count; the others serve to tell where differences come from."""


def prior_of(study: Study, config: RunConfig) -> Prior | None:
    """Returns the old studies that a search starts from; None: it starts from none. Nothing is written.

    Those that are stored with the study are returned as they are, so that a search that goes on is the same whatever
    became of the old studies.

    Args:
        study: the new study.
        config: where it and the old studies are stored.

    Raises:
        UsageError: if an old study is missing, or nothing can be learned from it.
        StorageUnavailable: if there is no storage yet.
    """
    if not study.search.prior:
        return None
    with storage(config.storage) as (store, studies):
        begun = studies.find(study.name)
        if begun is not None and (known := begun.prior) is not None:
            return known
        names = store.names()
        if unknown := [name for name in study.search.prior if name not in names]:
            known_names = ", ".join(name for name in names if name != study.name) or "none"
            raise UsageError(
                f"[search] prior names {unknown[0]!r}, and {masked(store.url)} has no such study (there: "
                f"{known_names}).{did_you_mean(unknown[0], names)} An old study must be in the same storage"
            )
        return Prior(studies=tuple(_read(study, name, store, studies) for name in study.search.prior))


def _read(study: Study, name: str, store: Store, studies: OptunaStudies) -> PriorStudy:
    stored = stored_study(store, name)
    old = as_stored(stored)
    if old.objective.others:
        raise UsageError(f"[search] prior names {name!r}, which has several objectives; a prior study has one")
    if old.objective.metric == study.objective.metric and old.objective.direction != study.objective.direction:
        raise UsageError(
            f"[search] prior names {name!r}, which {old.objective.direction}s {old.objective.metric}, and study "
            f"{study.name!r} {study.objective.direction}s it; leave {name!r} out"
        )
    found = list(_trainings(old, store, studies))
    if sum(bool(values) for _, values, _ in found) < FEWEST:
        raise UsageError(
            f"[search] prior names {name!r}, of which {sum(bool(values) for _, values, _ in found)} configurations "
            f"have a value at the full budget; at least {FEWEST} are needed. Search it first: hpo run --study {name}"
        )
    common, left_out = _common(study, [params for params, _, _ in found])
    kept = [
        (mapped, values, failures)
        for params, values, failures in found
        if (mapped := _mapped({one: study.space[one] for one in common}, params)) is not None
    ]
    varied = [one for one in common if len({params.get(one) for params, values, _ in kept if values}) > 1]
    if not varied or sum(bool(values) for _, values, _ in kept) < FEWEST:
        why = "; ".join(f"{one}: {reason}" for one, reason in left_out.items()) or "none of them varies there"
        raise UsageError(
            f"[search] prior names {name!r}, from which nothing can be learned about the params of study "
            f"{study.name!r} ({why}); leave {name!r} out"
        )
    return PriorStudy(
        study=name,
        uid=stored.uid,
        metric=old.objective.metric,
        direction=old.objective.direction,
        params=tuple(sorted(common)),
        left_out=left_out,
        configurations=tuple(
            PriorConfiguration(params=params, values=values, failures=failures) for params, values, failures in kept
        ),
        dropped=len(found) - len(kept),
    )


Found = tuple[dict[str, Value], tuple[float, ...], int]
"""Params, defaults included; values of trainings at the full budget; number of trainings that have none."""


def _trainings(old: Study, store: Store, studies: OptunaStudies) -> Iterator[Found]:
    """Yields the configurations of an old study by number. A seed counts once, also in trials that are identical."""
    values: dict[str, dict[object, float | None]] = {}
    params_of: dict[str, dict[str, Value]] = {}

    def add(params: Mapping[str, Value], seed: object, value: float | None) -> None:
        key = canonical_json(dict(params))
        params_of.setdefault(key, dict(params))
        values.setdefault(key, {}).setdefault(seed, value)

    durable = studies.find(old.name)
    for trial in durable.frozen() if durable is not None else ():
        if IMPORTED in trial.user_attrs and trial.state.is_finished():  # trained elsewhere, so without a record
            add(
                {**old.fixed, **trial.params}, ("imported", trial.number), trial.values[0] if has_value(trial) else None
            )
    for one in join_folds(store.evaluations(stored_study(store, old.name)), old):
        whole = one.status is not Status.COMPLETE or one.job.budget == old.search.budget
        if one.job.stage in STAGES and not one.job.variant and whole:
            given = {name: value for name, value in one.defaults.items() if isinstance(value, Value)}
            add({**given, **old.fixed, **one.job.params}, one.job.seed, _value(one, old))
    for key, by_seed in values.items():
        good = tuple(value for value in by_seed.values() if value is not None)
        yield params_of[key], good, len(by_seed) - len(good)


def _value(one: Evaluation, old: Study) -> float | None:
    """Returns the value of a training; None: it failed, was pruned, or broke a constraint."""
    if one.status is not Status.COMPLETE or one.value is None:
        return None
    broken = [name for name in old.objective.constraints if (one.metrics.get(name) or 0.0) > 0]
    return None if broken else one.value


def _common(study: Study, configurations: Sequence[Mapping[str, Value]]) -> tuple[list[str], dict[str, str]]:
    """Returns the params of the new study that the old one says something about, and why it does not about others."""
    common, left_out = [], {}
    usable = distributions(study.space)
    for name, dimension in study.space.items():
        given = [params[name] for params in configurations if name in params]
        held = sum(_held(dimension, value) is not None for value in given)
        if not is_usable(usable[name]):
            left_out[name] = (
                f"it has more than {MOST_CHOICES} choices" if not usable[name].single() else "it has one value"
            )
        elif not given:
            left_out[name] = "the old study does not have it"
        elif 2 * held < len(given):
            left_out[name] = "its old values are none of the new ones"
        else:
            common.append(name)
    return common, left_out


def _mapped(space: Mapping[str, Dimension], params: Mapping[str, Value]) -> dict[str, Value] | None:
    """Returns the common params of a configuration; None: one of its values is none that the new param can have."""
    found: dict[str, Value] = {}
    for name, dimension in space.items():
        if name in params:
            value = _held(dimension, params[name])
            if value is None:
                return None
            found[name] = value
    return found


def _held(dimension: Dimension, value: Value) -> Value | None:
    """Returns a value as the new param has it; None: it cannot. A number may lie outside the bounds: it still tells."""
    if isinstance(dimension, Choice):
        return next((one for one in dimension.values if same(value, (one,))), None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return None if dimension.log and value <= 0 else value
