"""The table [results]: which trials of a search keep the files of their trainings."""

from __future__ import annotations

from typing import Annotated

from hpo.core.limits import memory_of
from hpo.core.options import WINNER, keep_of
from hpo.study.table import Table, parsed_by


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
    """Which trials of the search keep the files of their trainings. Not part of the identity: it may change any time.

    Attributes:
        keep: `winner`: only the promotion's results are written; `all`: every finished trial gets a folder; `best:5`:
            the five best complete trials do.
        limit: largest size of all these folders together, such as `2 GB`; None: there is no limit.
    """

    keep: Annotated[str, parsed_by(keep_of)] = WINNER
    limit: Annotated[str, parsed_by(size_of)] | None = None

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
