"""Numbers in place of the names of files and examinations, for results that leave the house."""

from __future__ import annotations

from dataclasses import replace

from models.mammography.cache import Prepared
from models.mammography.listing import Dropped, Listing

UNSAID = "is left out; hpo data audit says why"


def without_names(listed: Listing, found: Prepared) -> tuple[Listing, Prepared]:
    """Returns a listing and what was read of it with every image and examination named by its number.

    Images are numbered in the order of the listing, the ones that cannot be read among them; so are examinations.
    """
    images = {case.name: f"image-{number:05d}" for number, case in enumerate(listed.cases, start=1)}
    accessions = dict.fromkeys(case.accession for case in listed.cases)
    exams = {accession: f"exam-{number:05d}" for number, accession in enumerate(accessions, start=1)}
    cases = tuple(
        replace(case, name=images[case.name], accession=exams[case.accession], owner=case.accession)
        for case in listed.cases
    )
    dropped = tuple(
        Dropped(one.what if _is_row(one.what) else "a file", _generally(one.reason)) for one in listed.dropped
    )
    return replace(listed, cases=cases, dropped=dropped, unlisted=("a folder",) * len(listed.unlisted)), replace(
        found,
        unreadable={images[name]: reason for name, reason in found.unreadable.items()},
        remarks={images[name]: remark for name, remark in found.remarks.items()},
        inputs={images[name]: digest for name, digest in found.inputs.items()},
    )


def _is_row(what: str) -> bool:
    word, _, number = what.partition(" ")
    return word == "row" and number.isdecimal()


def _generally(reason: str) -> str:
    """Returns a reason only where it quotes nothing of the source."""
    if "has no folder" in reason:
        return "its examination has no folder"
    return reason if reason in {"class 5 is left out", "has more fields than the header"} else UNSAID
