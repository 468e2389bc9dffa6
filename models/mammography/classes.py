"""The classes of a study: breast density, two classes of it, or any that the study names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpo import UsageError

CLASSES = ("A", "B", "C", "D")
"""BI-RADS density classes in the order of their labels 0 .. 3."""

EXCLUDED = "5"
"""The readers' class for an examination without a density, e.g. because of an implant."""

BINARY = ("AB", "CD")
"""Not dense and dense."""

DENSITY, TWO = "density", "binary"
"""The values of the param `classes` that are names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """The classes that a listing is read with.

    Attributes:
        names: (C,) names of the classes.
        readers: (C,) the readers' numbers of the classes.
        labels: class 0 .. C-1 by the text of the listing in capital letters.
        folders: class 0 .. C-1 by the name of the subfolder of a folder of images.
        is_density: whether the texts are those of density: A to D, or 1 to 4.
    """

    names: tuple[str, ...]
    readers: tuple[int, ...]
    labels: Mapping[str, int]
    folders: Mapping[str, int]
    is_density: bool

    @property
    def raw_of_folder(self) -> dict[str, str]:
        """The text of the class of each subfolder, as a listing would have it."""
        return {name: str(CLASSES.index(name) + 1) if self.is_density else name for name in self.folders}


def is_named(text: str) -> bool:
    """Whether the classes are named one by one, rather than `density` or `binary`."""
    return text not in (DENSITY, TWO)


def density(*, include_class_5: bool = False) -> Classes:
    """Returns the classes of density.

    Args:
        include_class_5: whether class 5 is included.
    """
    names = (*CLASSES, EXCLUDED) if include_class_5 else CLASSES
    labels = {name: label for label, name in enumerate(CLASSES)}
    labels |= {str(label + 1): label for label in range(len(names))}
    folders = {name: label for label, name in enumerate(CLASSES)}
    return Classes(
        names=names, readers=tuple(range(1, len(names) + 1)), labels=labels, folders=folders, is_density=True
    )


def named(text: str, *, include_class_5: bool = False) -> Classes:
    """Returns the classes that a listing is read with: of `binary`, the four that become two later.

    Args:
        text: "density", "binary", or the classes in their order, separated by commas; texts of the listing that are one
            class are joined by a plus: "A+B, C, D".
        include_class_5: whether class 5 is a class of density.

    Raises:
        UsageError: if it is not such a text.
    """
    if not is_named(text):
        return density(include_class_5=include_class_5)
    parts = [[word.strip() for word in part.split("+")] for part in text.split(",")]
    words = [word for part in parts for word in part]
    example = "expected density, binary, or the classes in their order, as 'A+B, C, D' or 'normal, benign, malignant'"
    if len(parts) < 2 or not all(words):
        raise UsageError(f"classes: {example}; got {text!r}")
    if include_class_5:
        raise UsageError(f"classes is {text!r}, so include_class_5 has no effect; remove it, and name 5 as a class")
    of_density = {name: number for number, name in enumerate(CLASSES, start=1)}
    is_density = all(word.upper() in of_density or word in map(str, range(1, 6)) for word in words)
    if is_density:
        known = {str(number): name for name, number in of_density.items()}
        parts = [[known.get(word, word.upper()) for word in part] for part in parts]
        words = [word for part in parts for word in part]
    if twice := [word for word in words if [one.upper() for one in words].count(word.upper()) > 1]:
        raise UsageError(f"classes: {twice[0]!r} is named twice in {text!r}; {example}")
    texts = {word: label for label, part in enumerate(parts) for word in part}
    labels = {word.upper(): label for word, label in texts.items()}
    if is_density:
        labels |= {str(of_density[word]): label for word, label in texts.items() if word in of_density}
    joined = "" if is_density else "+"
    names = tuple(joined.join(part) for part in parts)
    return Classes(
        names=names,
        readers=tuple(range(len(names))),
        labels=labels,
        folders={word: label for word, label in texts.items() if word != EXCLUDED or not is_density},
        is_density=is_density,
    )
