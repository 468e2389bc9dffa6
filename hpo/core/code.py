"""The code of a training: the files of the user's project that its trainable consists of, each with a digest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SHOWN = 5
"""Maximum number of changed files in a sentence."""


@dataclass(frozen=True, slots=True)
class Code:
    """The files of a project that a trainable consists of.

    Attributes:
        files: digest by path relative to the project; empty if unknown.
        digest: digest over all files; empty if unknown.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    def differs(self, other: Code) -> bool:
        """Whether both codes are known and differ."""
        return bool(self.digest and other.digest and self.digest != other.digest)

    def changes(self, now: Code) -> str:
        """Describes the difference to the current code: `toy.py changed, models/net.py is new`."""
        parts = [
            f"{path} is new" if path not in self.files else f"{path} is gone" if path not in now.files else path
            for path in sorted({*self.files, *now.files})
            if self.files.get(path) != now.files.get(path)
        ]
        plain = [one for one in parts if " is " not in one]
        listed = [f"{', '.join(plain[:SHOWN])} changed"] * bool(plain)
        listed += [one for one in parts if one not in plain][: SHOWN - 1]
        more = len(parts) - min(len(plain), SHOWN) - (len(listed) - bool(plain))
        return ", ".join(listed) + (f", and {more} more" if more > 0 else "")

    def plain(self) -> dict[str, object]:
        """Returns the code as JSON values, as stored in fingerprints."""
        return {"digest": self.digest, "files": dict(self.files)}


UNKNOWN = Code()
"""The code of a trainable without a file, or of a training recorded before code was."""


def code_from(found: object) -> Code:
    """Returns the code stored in a fingerprint or the database; `UNKNOWN` if there is none."""
    if not isinstance(found, Mapping) or not isinstance(found.get("files"), Mapping):
        return UNKNOWN
    return Code(dict(found["files"]), str(found.get("digest", "")))


def describe_difference(codes: Mapping[str, Code]) -> str | None:
    """Returns a sentence if compared trainings ran different code, otherwise None.

    Args:
        codes: code by name of the training, e.g. `trial 1 seed 42`.
    """
    groups: dict[str, list[str]] = {}
    for name, code in codes.items():
        groups.setdefault(code.digest, []).append(name)
    if len(groups) < 2:
        return None
    unknown = groups.pop("", [])
    known_names = "; ".join(_listed(names) for names in groups.values())
    if len(groups) < 2:
        return f"The code of {_listed(unknown)} was not recorded: it may differ from that of {known_names}."
    known = {code.digest: code for code in codes.values() if code.digest}
    first, second, *_ = known.values()
    beside = f" That of {_listed(unknown)} was not recorded." if unknown else ""
    return (
        f"These trainings ran different code ({first.changes(second)}), which may explain differences between them: "
        f"{known_names}.{beside}"
    )


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
