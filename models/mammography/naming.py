"""Replaces names of files and examinations by numbers, for results that are shared."""

from __future__ import annotations

from dataclasses import replace

from models.mammography.cache import Prepared
from models.mammography.listing import Dropped, Listing

NOT_SHOWN = "is left out; hpo data audit shows the reason"


def without_names(listed: Listing, found: Prepared) -> tuple[Listing, Prepared]:
    """Returns a listing and its images with numbers instead of names.

    Images, including unreadable ones, and examinations are numbered in the order of the listing.
    """
    images = {case.name: f"image-{number:05d}" for number, case in enumerate(listed.cases, start=1)}
    accessions = dict.fromkeys(case.accession for case in listed.cases)
    exams = {accession: f"exam-{number:05d}" for number, accession in enumerate(accessions, start=1)}
    cases = tuple(
        replace(case, name=images[case.name], accession=exams[case.accession], owner=case.accession)
        for case in listed.cases
    )
    dropped = tuple(
        Dropped(one.what if _is_row(one.what) else "a file", _without_quotes(one.reason)) for one in listed.dropped
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


def _without_quotes(reason: str) -> str:
    """Returns a reason without quotes from the source."""
    if "has no folder" in reason:
        return "its examination has no folder"
    return reason if reason in {"class 5 is left out", "has more fields than the header"} else NOT_SHOWN
