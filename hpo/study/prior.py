"""What a study starts from: the values of finished studies, as they were when its search began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hpo.core.formatting import counted
from hpo.core.records import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorConfiguration:
    """A configuration of an old study, as far as the new study has its params.

    Attributes:
        params: values of the common params by name; one that the configuration did not have is left out.
        values: one value of the objective for each training at the full budget: the search's, and one for each seed
            of a promotion.
        failures: number of trainings that failed, were pruned or broke a constraint.
    """

    params: Mapping[str, Value]
    values: tuple[float, ...]
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorStudy:
    """What is known of one old study.

    Attributes:
        study: name of the old study.
        uid: its id, which no other study of that name has.
        metric: metric of its objective.
        direction: direction of its objective.
        params: the common params, sorted.
        left_out: why a param of the new study is not among them, by name.
        configurations: its configurations, by the number of their first trial.
        dropped: number of configurations that have a value that the new study's params cannot have.
    """

    study: str
    uid: str
    metric: str
    direction: Literal["minimize", "maximize"]
    params: tuple[str, ...]
    left_out: Mapping[str, str]
    configurations: tuple[PriorConfiguration, ...]
    dropped: int = 0

    @property
    def trainings(self) -> int:
        """Number of values."""
        return sum(len(one.values) for one in self.configurations)

    def __str__(self) -> str:
        text = (
            f"{self.study} ({counted(self.trainings, 'value')} of "
            f"{counted(len(self.configurations), 'configuration')}; common params {', '.join(self.params)}"
        )
        if self.left_out:
            text += "; without " + ", ".join(f"{name} ({why})" for name, why in self.left_out.items())
        if self.dropped:
            text += f"; without {counted(self.dropped, 'configuration')} that this study's params cannot have"
        return f"{text})"

    def plain(self) -> dict[str, object]:
        """Returns what it comes to as plain values, without the configurations."""
        return {
            "study": self.study,
            "metric": self.metric,
            "direction": self.direction,
            "values": self.trainings,
            "configurations": len(self.configurations),
            "params": list(self.params),
            "left_out": dict(self.left_out),
            "dropped": self.dropped,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """The old studies that a study starts from; stored with it, so that they may change or be deleted.

    Attributes:
        studies: the old studies, in the order in which the study names them.
    """

    studies: tuple[PriorStudy, ...]

    def __str__(self) -> str:
        return f"starting from {' and '.join(map(str, self.studies))}"

    def stored(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return {"version": 1, "studies": [asdict(one) for one in self.studies]}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Prior:
        """Returns it from what `stored` returned, after a way through JSON."""
        return cls(studies=tuple(map(_study_of, stored["studies"])))


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorUse:
    """What a search makes of the old studies.

    Attributes:
        prior: the old studies.
        agreement: how well each old study predicts the values of this one, 0 to 1, by name, when the newest trial was
            proposed; None: too few values were known then.
    """

    prior: Prior
    agreement: Mapping[str, float] | None = None

    def __str__(self) -> str:
        if self.agreement is None:
            return (
                f"Started from {_listed(self.prior)}; too few values are known yet to tell whether it agrees with them."
            )
        used = [f"{name} ({weight:.2f})" for name, weight in self.agreement.items() if weight > 0]
        refused = [name for name, weight in self.agreement.items() if weight == 0]
        lines = [f"Started from {', '.join(used)}: agreement of 0 to 1 with this study's values."] if used else []
        if refused:
            lines.append(
                f"The predictions of {', '.join(refused)} do not agree with this study's values and are no longer used."
            )
        return " ".join(lines)

    def plain(self) -> list[dict[str, object]]:
        """Returns it as plain values: one object per old study."""
        known = self.agreement
        return [
            {**one.plain(), "agreement": None if known is None else known.get(one.study, 0.0)}
            for one in self.prior.studies
        ]


def _listed(prior: Prior) -> str:
    return ", ".join(one.study for one in prior.studies)


def _study_of(stored: Mapping[str, Any]) -> PriorStudy:
    found: Sequence[Mapping[str, Any]] = stored["configurations"]
    configurations = tuple(PriorConfiguration(**{**one, "values": tuple(one["values"])}) for one in found)
    return PriorStudy(**{**stored, "params": tuple(stored["params"]), "configurations": configurations})
