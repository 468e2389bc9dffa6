"""Whether a study means what it meant when it was stored: its identity as texts by key, and the differences of two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hpo.core.records import Value, canonical_json

RECORDED = "defaults"
"""The key that says that the defaults of the params are recorded: an earlier hpo recorded none."""

FIXED, DEFAULT = "fixed.", "default."


def with_defaults(identity: Mapping[str, str], defaults: Mapping[str, object]) -> dict[str, str]:
    """Returns a study's identity with the defaults of the params that it does not set.

    Args:
        identity: of the study alone.
        defaults: as `hpo.training.defaults_of` gives them.
    """
    texts = {f"{DEFAULT}{name}": _text(value) for name, value in defaults.items()}
    return {**identity, **texts, RECORDED: ", ".join(sorted(defaults))}


def knows_defaults(identity: Mapping[str, str]) -> bool:
    """Whether an identity says what the defaults were."""
    return RECORDED in identity


def differences(stored: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Returns the keys in which two identities differ so that trials of them do not compare.

    A param that has moved from the defaults to [fixed], or back, with its value is no difference. Nor is a param that
    is new or gone: that is a change of the code, which is looked at elsewhere. Where the defaults were not recorded
    nothing can be said of them.
    """
    keys = {key for key in {*stored, *now} if not key.startswith((FIXED, DEFAULT)) and key != RECORDED}
    found = [key for key in keys if stored.get(key) != now.get(key)]
    names = {key.partition(".")[2] for key in {*stored, *now} if key.startswith((FIXED, DEFAULT))}
    for name in names:
        was, is_ = _effective(stored, name), _effective(now, name)
        if was != is_ and (None not in (was, is_) or f"{FIXED}{name}" in {*stored, *now}):
            key = f"{FIXED}{name}"
            found.append(key if key in stored or key in now else f"{DEFAULT}{name}")
    return sorted(found)


def changed_text(name: str, storage: str, stored: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Returns how a stored study differs from the one that is named so now, and what to do.

    Args:
        name: of the study.
        storage: the database, without a password.
        stored: identity of the one.
        now: identity of the other.
    """
    keys = differences(stored, now)
    width = max(map(len, keys))

    def said(identity: Mapping[str, str], key: str) -> str:
        value = identity.get(key)
        if value is None and key.startswith((FIXED, DEFAULT)):
            value = _effective(identity, key.partition(".")[2])
        return "(absent)" if value is None else value

    lines = [f"  {key:<{width}}  {said(stored, key)}   ->   {said(now, key)}" for key in keys]
    kinds = " and ".join(dict.fromkeys(key.partition(".")[0] for key in keys))
    return "\n".join(
        [
            f"study {name!r} in {storage} was made with another {kinds}:",
            *lines,
            *_on_defaults(keys, stored, now),
            "Trials of the two do not compare. Give the study another name, or keep the old values.",
        ]
    )


def _on_defaults(keys: Iterable[str], stored: Mapping[str, str], now: Mapping[str, str]) -> Iterable[str]:
    for key in keys:
        name = key.partition(".")[2]
        if not key.startswith((FIXED, DEFAULT)) or f"{DEFAULT}{name}" not in now:
            continue
        was, is_ = _effective(stored, name), _effective(now, name)
        counts = f"The study does not set {name}, so the default of the trainable's params counts"
        yield f"{counts}: it was {was} and is {is_}."


def _effective(identity: Mapping[str, str], name: str) -> str | None:
    return identity.get(f"{FIXED}{name}", identity.get(f"{DEFAULT}{name}"))


def _text(value: object) -> str:
    return repr(value) if value is None or isinstance(value, Value) else canonical_json(value)
