"""The code that a training ran: the files of the user's project that its trainable is made of, each with a digest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SHOWN = 5
"""Changed files that a sentence names."""


@dataclass(frozen=True, slots=True)
class Code:
    """The files of a project that a trainable is made of.

    Attributes:
        files: digest by path, relative to the project; empty where the code is not known.
        digest: of all of them; empty where the code is not known.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    def differs(self, other: Code) -> bool:
        """Whether this is known to be other code than that; what is not known differs from nothing."""
        return bool(self.digest and other.digest and self.digest != other.digest)

    def changes(self, now: Code) -> str:
        """Returns in which files it differs from the code of now: `toy.py changed, models/net.py is new`."""
        said = [
            f"{path} is new" if path not in self.files else f"{path} is gone" if path not in now.files else path
            for path in sorted({*self.files, *now.files})
            if self.files.get(path) != now.files.get(path)
        ]
        plain = [one for one in said if " is " not in one]
        listed = [f"{', '.join(plain[:SHOWN])} changed"] * bool(plain)
        listed += [one for one in said if one not in plain][: SHOWN - 1]
        more = len(said) - min(len(plain), SHOWN) - (len(listed) - bool(plain))
        return ", ".join(listed) + (f", and {more} more" if more > 0 else "")

    def plain(self) -> dict[str, object]:
        """Returns it as JSON values, as fingerprints hold it."""
        return {"digest": self.digest, "files": dict(self.files)}


UNKNOWN = Code()
"""Of a training that was recorded before code was, or of a trainable that is in no file."""


def code_from(found: object) -> Code:
    """Returns code as a fingerprint or the database holds it; unknown where it holds none."""
    if not isinstance(found, Mapping) or not isinstance(found.get("files"), Mapping):
        return UNKNOWN
    return Code(dict(found["files"]), str(found.get("digest", "")))


def describe_difference(codes: Mapping[str, Code]) -> str | None:
    """Returns, as a sentence, that trainings which are compared ran different code; None where they did not.

    Args:
        codes: of the trainings, by what they are called: `trial 1 seed 42`.
    """
    groups: dict[str, list[str]] = {}
    for name, code in codes.items():
        groups.setdefault(code.digest, []).append(name)
    if len(groups) < 2:
        return None
    unknown = groups.pop("", [])
    said = "; ".join(_listed(names) for names in groups.values())
    if len(groups) < 2:
        return f"The code of {_listed(unknown)} was not recorded: it may be other code than that of {said}."
    known = {code.digest: code for code in codes.values() if code.digest}
    first, second, *_ = known.values()
    beside = f" That of {_listed(unknown)} was not recorded." if unknown else ""
    return (
        f"These trainings ran different code ({first.changes(second)}), so what differs between them may be its doing: "
        f"{said}.{beside}"
    )


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
