"""The devices of trainings, from their fingerprints, and whether they are equal and as requested."""

from __future__ import annotations

from collections.abc import Iterable

from hpo.core.records import Evaluation

MAX_NAMED = 5
"""Maximum number of trainings listed per device."""


def device_of(evaluation: Evaluation) -> str:
    """Returns the device of a training, `cpu` or `cuda`; `-` if unknown, `mixed` if its folds differ."""
    found = {str(one.fingerprint.get("device") or "-") for one in evaluation.folds or (evaluation,)}
    return found.pop() if len(found) == 1 else "mixed"


def describe_devices(evaluations: Iterable[Evaluation], gpu: float) -> str | None:
    """Returns a sentence if compared trainings ran on different devices, or on the CPU although a GPU was requested.

    Args:
        evaluations: the compared trainings; those without a recorded device are ignored.
        gpu: number of GPUs that the study requests.
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
        return (
            "not all trainings ran on the same device, and results are not bit-identical across devices. "
            f"{'; '.join(parts)}"
        )
    if gpu and set(by_device) == {"cpu"}:
        return f"the study requests {gpu:g} GPU per training, but all ran on the CPU"
    return None


def _listed(trainings: list[str]) -> str:
    names = list(dict.fromkeys(trainings))
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
