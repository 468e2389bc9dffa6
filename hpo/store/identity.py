"""The identity of a study: texts by key that must not change once it is stored, and how two identities differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hpo.core.records import Value, canonical_json

RECORDED = "defaults"
"""The key that is present if the defaults of the params were recorded; older versions of hpo recorded none."""

FIXED, DEFAULT = "fixed.", "default."


def with_defaults(identity: Mapping[str, str], defaults: Mapping[str, object]) -> dict[str, str]:
    """Adds the defaults of the params that a study does not set to its identity.

    Args:
        identity: identity without the defaults.
        defaults: values by param, from `hpo.training.defaults_of`.
    """
    texts = {f"{DEFAULT}{name}": _text(value) for name, value in defaults.items()}
    return {**identity, **texts, RECORDED: ", ".join(sorted(defaults))}


def knows_defaults(identity: Mapping[str, str]) -> bool:
    """Whether an identity includes the defaults."""
    return RECORDED in identity


def differences(stored: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Returns the keys whose difference makes trials of two identities incomparable.

    Moving a param between the defaults and [fixed] with the same value does not count. Nor does a param that was added
    or removed: that is a change of the code, which is checked elsewhere. Defaults that were not recorded are ignored.
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
    """Returns the message that shows how a stored study differs from the given one, and what to do.

    Args:
        name: name of the study.
        storage: URL of the database, without a password.
        stored: identity of the stored study.
        now: identity of the given study.
    """
    keys = differences(stored, now)
    width = max(map(len, keys))

    def shown(identity: Mapping[str, str], key: str) -> str:
        value = identity.get(key)
        if value is None and key.startswith((FIXED, DEFAULT)):
            value = _effective(identity, key.partition(".")[2])
        return "(absent)" if value is None else value

    lines = [f"  {key:<{width}}  {shown(stored, key)}   ->   {shown(now, key)}" for key in keys]
    kinds = " and ".join(dict.fromkeys(key.partition(".")[0] for key in keys))
    return "\n".join(
        [
            f"study {name!r} in {storage} was stored with a different {kinds}:",
            *lines,
            *_on_defaults(keys, stored, now),
            "Trials of the two cannot be compared. Give the study another name, or keep the old values.",
        ]
    )


def _on_defaults(keys: Iterable[str], stored: Mapping[str, str], now: Mapping[str, str]) -> Iterable[str]:
    for key in keys:
        name = key.partition(".")[2]
        if not key.startswith((FIXED, DEFAULT)) or f"{DEFAULT}{name}" not in now:
            continue
        was, is_ = _effective(stored, name), _effective(now, name)
        counts = f"The study does not set {name}, so the trainable's default applies"
        yield f"{counts}: it was {was} and is {is_}."


def _effective(identity: Mapping[str, str], name: str) -> str | None:
    return identity.get(f"{FIXED}{name}", identity.get(f"{DEFAULT}{name}"))


def _text(value: object) -> str:
    return repr(value) if value is None or isinstance(value, Value) else canonical_json(value)
