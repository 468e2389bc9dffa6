"""Writes the study file of a new study that is like an old one and starts from it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hpo.core.arguments import require_type
from hpo.core.errors import UsageError
from hpo.core.formatting import counted
from hpo.core.records import Status
from hpo.core.run_config import RunConfig
from hpo.driver.conversion import Converted, write_converted
from hpo.driver.cross_validation import join_folds
from hpo.driver.init import InitOutcome
from hpo.driver.session import checked_config
from hpo.driver.status import as_stored
from hpo.driver.storage import storage, stored_study
from hpo.search.importance import importances
from hpo.search.prior import STAGES
from hpo.store import Store, StoredStudy
from hpo.store.optuna_storage.studies import OptunaStudies
from hpo.study import Study
from hpo.study.options import DEFAULT_SAMPLER

FEWEST = 8
"""Trials with a value that are needed to tell which params matter."""


def init_like(
    old: str, folder: str | Path = ".", name: str | None = None, config: RunConfig | None = None
) -> InitOutcome:
    """Writes the study of a new search with the space, objective and trainable of an old one, from which it starts.

    Args:
        old: name of the old study.
        folder: the project's folder.
        name: name of the new study; None: that of the old one with `-2`.
        config: where the old study is stored; None: the defaults.

    Raises:
        UsageError: if the storage has no such study, it has several objectives, or the new study's file exists.
        StorageUnavailable: if there is no storage yet.
        OutputRefused: if the file cannot be written.
    """
    require_type("old", old, str, "the name of a stored study")
    with storage(checked_config(config).storage) as (store, studies):
        stored = stored_study(store, old)
        study = as_stored(stored)
        if study.objective.others:
            raise UsageError(f"study {old!r} has several objectives; a search can start from a study with one only")
        found, count = _importances(study, stored, store, studies)
    remarks = []
    content = study.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    del content["name"]
    search = content["search"]
    if study.search.lag == study.resources_.slots:
        search.pop("lag", None)  # the default, which is stored as a number
    if study.search.sampler != DEFAULT_SAMPLER:
        remarks.append(
            f"sampler: {study.search.sampler} is left out, as only {DEFAULT_SAMPLER} starts from old studies."
        )
        search.pop("sampler", None)
        search.pop("sampler_options", None)
    if search.pop("enqueue", None):
        remarks.append(f"enqueue: is left out, as {old} has the values of what it enqueued.")
    if (keep := content.get("results", {}).pop("keep", None)) is not None:
        remarks.append(f"keep: {keep} is left out, as it may have been an option of one hpo run.")
        content = {key: table for key, table in content.items() if table != {}}
    search["prior"] = [old]
    if found:
        remarks.append(f"Importance of the params for {study.objective.metric} in {counted(count, 'trial')} of {old}:")
        remarks += [f"  {name}: {value:.2f}" for name, value in found.items()]
    else:
        remarks.append(
            f"{old} has {counted(count, 'trial')} with a value; it takes {FEWEST} with different ones to tell which "
            "params matter."
        )
    comments = {
        name: f"importance {found[name]:.2f}" if name in found else "importance not known: not every trial has it"
        for name in study.space
        if found
    }
    made = Converted(content=content, name=f"{old}-2", source=f"study {old}", remarks=tuple(remarks), comments=comments)
    return write_converted(made, Path(os.path.abspath(folder)), name, importances=found)


def _importances(
    study: Study, stored: StoredStudy, store: Store, studies: OptunaStudies
) -> tuple[Mapping[str, float], int]:
    """Returns the importance of each param, the largest first, and the number of trials; empty: they are too few."""
    values: dict[int, list[float]] = defaultdict(list)
    for one in join_folds(store.evaluations(stored), study):
        whole = one.status is Status.COMPLETE and one.job.budget == study.search.budget and not one.job.variant
        if whole and one.job.stage in STAGES and one.value is not None:
            values[one.job.trial].append(one.value)
    durable = studies.find(study.name)
    numbers = {one.number for one in durable.frozen()} if durable is not None else set()
    means = {number: float(np.mean(some)) for number, some in values.items() if number in numbers}
    if durable is None or len(means) < FEWEST or len(set(means.values())) < 2:
        return {}, len(means)
    found = importances(durable, means, study.objective.direction)
    return dict(sorted(found.items(), key=lambda one: -one[1])), len(means)
