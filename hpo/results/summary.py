"""The description of a replicate: `summary.json` and `optuna_trial.json`."""

from __future__ import annotations

from collections.abc import Mapping

from hpo.core.records import Evaluation
from hpo.results.history import known_metrics
from hpo.results.plain import iso
from hpo.results.winner import TrialInfo, Winner
from hpo.stats.classification import NAMES, UNIT

SECTION = "hpo"
"""The key of the section that only this package writes and reads."""


def summary(winner: Winner, member: int, name: str) -> dict[str, object]:
    """Returns the content of `summary.json`. It describes the training only, without the time of writing.

    Args:
        winner: winner of the promotion.
        member: index of the replicate among the winner's evaluations.
        name: name of the directory, e.g. `results_7`.
    """
    return training_summary(winner, winner.evaluations[member], name, _section(winner, member))


def training_summary(
    info: TrialInfo, evaluation: Evaluation, name: str, section: Mapping[str, object]
) -> dict[str, object]:
    """Returns the content of `summary.json` of one training.

    Args:
        info: the trial of the training.
        evaluation: record of the training.
        name: name of the directory, e.g. `results_7`.
        section: the part that only this package reads.
    """
    params = {**evaluation.defaults, **info.fixed, **evaluation.job.params}
    began, ended = _times(evaluation)
    known: dict[str, object] = {
        "run_id": name,
        "seed": evaluation.job.seed,
        "created_at": began,
        "finished_at": ended,
        "reproducibility": _reproducibility(info.project, evaluation.fingerprint, began),
        "epochs": evaluation.job.budget,
        "best_epoch": evaluation.epoch,
        "best_metric": evaluation.value,
        "best_metric_name": info.objective.metric,
        "val_acc": evaluation.metrics.get("val_acc"),
        **{key: evaluation.metrics[key] for name in NAMES if (key := f"{UNIT}{name}") in evaluation.metrics},
        "params": params,
        SECTION: section,
    }
    return {**known, **{key: value for key, value in params.items() if key not in known}}


def optuna_trial(info: TrialInfo, evaluation: Evaluation) -> dict[str, object]:
    """Returns the content of `optuna_trial.json`.

    `value` is from the search under its seed, `objective` from this training under its seed.
    """
    number = evaluation.job.trial
    return {
        **info.trial,
        "trial_id": number,
        "number": number,
        "study": info.study,
        "timestamp": _times(evaluation)[1],
        "objective": evaluation.value,
        "metrics": {"epoch": evaluation.epoch, **known_metrics(evaluation.metrics)},
        "params": dict(evaluation.job.params),
        "fixed": dict(info.fixed),
        "defaults": evaluation.defaults,
        "value": info.search_value,
        "state": info.trial.get("state"),
        "datetime_start": info.trial.get("datetime_start"),
        "datetime_complete": info.trial.get("datetime_complete"),
        "search_seed": info.search_seed,
        "seed": evaluation.job.seed,
        **_origin(info),
    }


def _section(winner: Winner, member: int) -> dict[str, object]:
    evaluation = winner.evaluations[member]
    job = evaluation.job
    return {
        "study": winner.study,
        "uid": winner.uid,
        "trial": winner.number,
        "warnings": list(winner.warnings),
        "rank": winner.rank,
        "is_decided": winner.is_decided,
        "seed_use": winner.seeds,
        "mean": winner.mean,
        "sigma": winner.sigma,
        "score": winner.score,
        "rule": winner.rule,
        "lambda": winner.lambda_,
        "ddof": winner.ddof,
        "metric": winner.objective.metric,
        "direction": winner.objective.direction,
        "epoch": winner.objective.epoch,
        "search_value": winner.search_value,
        "search_seed": winner.search_seed,
        **({"objectives": {name: dict(one) for name, one in winner.objectives.items()}} if winner.objectives else {}),
        **_origin(winner),
        "seed": job.seed,
        "seeds": [replicate.job.seed for replicate in winner.evaluations],
        "values": [replicate.value for replicate in winner.evaluations],
        **training_facts(winner, evaluation),
        "block": winner.block,
        "member": member,
    }


def training_facts(info: TrialInfo, evaluation: Evaluation) -> dict[str, object]:
    """Returns the part of the section that describes a training and its provenance."""
    job, prints = evaluation.job, evaluation.fingerprint
    facts = prints.get("facts")
    return {
        "fold": job.fold,
        "folds": len(evaluation.folds),
        "budget": job.budget,
        "streams": dict(job.stream_seeds),
        "params": dict(job.params),
        "fixed": dict(info.fixed),
        "defaults": evaluation.defaults,
        "value": evaluation.value,
        "step": evaluation.step,
        "seconds": evaluation.seconds,
        "digests": dict(evaluation.digests),
        "data": facts.get("data") if isinstance(facts, Mapping) else None,
        "threads": prints.get("threads"),
        "versions": prints.get("packages"),
        "fingerprint": dict(prints),
        "job": job.digest,
    }


def _origin(info: TrialInfo) -> dict[str, object]:
    return {} if info.origin is None else {"origin": dict(info.origin)}


def _reproducibility(
    project: Mapping[str, object], fingerprint: Mapping[str, object], began: str | None
) -> dict[str, object]:
    """Returns facts about the project and the process that trained, which may differ from the one that writes."""
    packages = fingerprint.get("packages")
    return {
        "git_commit": None,
        "git_dirty": None,
        "command_line": None,
        **project,
        "timestamp": began,
        "python_version": fingerprint.get("python"),
        "platform": fingerprint.get("platform"),
        "torch_version": packages.get("torch") if isinstance(packages, Mapping) else None,
        "cuda_version": fingerprint.get("cuda"),
        "gpu_name": fingerprint.get("gpu"),
    }


def _times(evaluation: Evaluation) -> tuple[str | None, str | None]:
    """Returns start and end of the training by the worker's clock; after pauses the start is an estimate.

    Both are None if it reported nothing.
    """
    if not evaluation.reports:
        return None, None
    first, last = evaluation.reports[0].at, evaluation.reports[-1].at
    return iso(min(first, last - evaluation.seconds)), iso(last)
