"""On what trainings ran, as their fingerprints say, and whether that is the same everywhere and what was asked for."""

from __future__ import annotations

from collections.abc import Iterable

from hpo.core.records import Evaluation

MOST_NAMED = 5
"""Trainings that are named of each device."""


def device_of(evaluation: Evaluation) -> str:
    """Returns the device of a training, `cpu` or `cuda`; `-` where it is not known, `mixed` where its folds differ."""
    found = {str(one.fingerprint.get("device") or "-") for one in evaluation.folds or (evaluation,)}
    return found.pop() if len(found) == 1 else "mixed"


def describe_devices(evaluations: Iterable[Evaluation], gpu: float) -> str | None:
    """Returns a sentence where trainings that are compared ran on different devices, or on no GPU though one was asked.

    Args:
        evaluations: of trainings that are compared; those that do not say their device count for nothing.
        gpu: graphics cards that the study asks for.
    """
    by_device: dict[str, list[str]] = {}
    for whole in evaluations:
        for one in whole.folds or (whole,):
            device, card = one.fingerprint.get("device"), one.fingerprint.get("gpu")
            if device is not None:
                named = f"{device} ({card})" if card else str(device)
                by_device.setdefault(named, []).append(f"trial {one.job.trial} seed {one.job.seed_text}")
    if len(by_device) > 1:
        parts = [f"{device}: {_listed(trainings)}" for device, trainings in sorted(by_device.items())]
        return f"not all trainings ran on the same device, and devices give other bits. {'; '.join(parts)}"
    if gpu and set(by_device) == {"cpu"}:
        return f"the study asks for {gpu:g} GPU for a training, and all ran on the CPU"
    return None


def _listed(trainings: list[str]) -> str:
    names = list(dict.fromkeys(trainings))
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
