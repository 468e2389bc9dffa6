"""The table [results]: which trials of a search keep the files of their trainings, and the formats of figures."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer

from hpo.core.limits import memory_of
from hpo.core.options import WINNER, keep_of
from hpo.study.table import Table, each_once, parsed_by


def size_of(text: str) -> float:
    """Returns the bytes of a size such as `500 MB`, `2GB`, `1.5 GiB`.

    Raises:
        ValueError: if the text is no size.
    """
    try:
        return memory_of(text)
    except ValueError:
        raise ValueError(f"expected a size such as 500 MB, 2 GB or 1.5 GiB, got {text[:40]!r}") from None


class ResultsTable(Table):
    """Which files are written. Not part of the identity: it may change any time.

    Attributes:
        keep: `winner`: only the promotion's results are written; `all`: every finished trial gets a folder; `best:5`:
            the five best complete trials do.
        limit: largest size of all these folders together, such as `2 GB`; None: there is no limit.
        formats: formats of the figures in the promotion's results, such as `pdf` and `svg`; PNG files are always
            written.
    """

    keep: Annotated[str, parsed_by(keep_of)] = WINNER
    limit: Annotated[str, parsed_by(size_of)] | None = None
    formats: Annotated[tuple[Literal["png", "pdf", "svg"], ...], Field(strict=False), AfterValidator(each_once)] = ()

    @model_serializer(mode="wrap")
    def _without_formats(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Returns the table without formats if there are none: the digest of a study without them stays the same."""
        found: dict[str, Any] = dump(self)
        if not self.formats:
            found.pop("formats", None)
        return found

    @property
    def keeps_trials(self) -> bool:
        """Whether trials of the search keep their files."""
        return self.keep != WINNER

    @property
    def best(self) -> int | None:
        """Number of the best complete trials that keep their files; None: all finished trials do."""
        return None if self.keep == "all" else int(self.keep.partition(":")[2] or 0)

    @property
    def most_bytes(self) -> float:
        """Largest size of all folders together, in bytes; infinite without a limit."""
        return float("inf") if self.limit is None else size_of(self.limit)
