"""The description of a replicate: `summary.json` and `optuna_trial.json`."""

from __future__ import annotations

from collections.abc import Mapping

from hpo.core.records import Evaluation
from hpo.results.history import known_metrics
from hpo.results.plain import iso
from hpo.results.winner import Winner

SECTION = "hpo"
"""The key of the section that only this package writes and reads."""


def summary(winner: Winner, member: int, name: str) -> dict[str, object]:
    """Returns the content of `summary.json`. It describes the training only, without the time of writing.

    Args:
        winner: winner of the promotion.
        member: index of the replicate among the winner's evaluations.
        name: name of the directory, e.g. `results_7`.
    """
    evaluation = winner.evaluations[member]
    params = _params(winner, evaluation)
    began, ended = _times(evaluation)
    known: dict[str, object] = {
        "run_id": name,
        "seed": evaluation.job.seed,
        "created_at": began,
        "finished_at": ended,
        "reproducibility": _reproducibility(winner.project, evaluation.fingerprint, began),
        "epochs": evaluation.job.budget,
        "best_epoch": evaluation.epoch,
        "best_metric": evaluation.value,
        "best_metric_name": winner.objective.metric,
        "val_acc": evaluation.metrics.get("val_acc"),
        "params": params,
        SECTION: _section(winner, member),
    }
    return {**known, **{key: value for key, value in params.items() if key not in known}}


def optuna_trial(winner: Winner, member: int) -> dict[str, object]:
    """Returns the content of `optuna_trial.json`.

    `value` is from the search under its seed, `objective` from this replicate under its seed.
    """
    evaluation = winner.evaluations[member]
    return {
        **winner.trial,
        "trial_id": winner.number,
        "number": winner.number,
        "study": winner.study,
        "timestamp": _times(evaluation)[1],
        "objective": evaluation.value,
        "metrics": {"epoch": evaluation.epoch, **known_metrics(evaluation.metrics)},
        "params": dict(evaluation.job.params),
        "fixed": dict(winner.fixed),
        "defaults": evaluation.defaults,
        "value": winner.search_value,
        "state": winner.trial.get("state"),
        "datetime_start": winner.trial.get("datetime_start"),
        "datetime_complete": winner.trial.get("datetime_complete"),
        "search_seed": winner.search_seed,
        "seed": evaluation.job.seed,
        **_origin(winner),
    }


def _section(winner: Winner, member: int) -> dict[str, object]:
    evaluation = winner.evaluations[member]
    job, prints = evaluation.job, evaluation.fingerprint
    facts = prints.get("facts")
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
        "fold": job.fold,
        "folds": len(evaluation.folds),
        "budget": job.budget,
        "streams": dict(job.stream_seeds),
        "params": dict(job.params),
        "fixed": dict(winner.fixed),
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
        "block": winner.block,
        "member": member,
    }


def _origin(winner: Winner) -> dict[str, object]:
    return {} if winner.origin is None else {"origin": dict(winner.origin)}


def _params(winner: Winner, evaluation: Evaluation) -> dict[str, object]:
    """Returns all params of the training: defaults, fixed ones, and those of the trial."""
    return {**evaluation.defaults, **winner.fixed, **evaluation.job.params}


def _reproducibility(project: Mapping[str, object], fingerprint: Mapping[str, object], began: str) -> dict[str, object]:
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


def _times(evaluation: Evaluation) -> tuple[str, str]:
    """Returns start and end of the training by the worker's clock; after pauses the start is an estimate."""
    first, last = evaluation.reports[0].at, evaluation.reports[-1].at
    return iso(min(first, last - evaluation.seconds)), iso(last)
