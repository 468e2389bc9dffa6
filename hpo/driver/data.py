"""`data`: what a study's trainable knows of its data. Its module does the work, in functions of agreed names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from hpo.core.errors import HpoError, UsageError
from hpo.core.files import explain_write_errors, write_text
from hpo.core.protocols import Tell
from hpo.core.run_config import RunConfig
from hpo.driver.session import resolved
from hpo.results import json_text
from hpo.study import Study
from hpo.study import loading as catalog
from hpo.study.trainable import load
from hpo.training import work_dir


def in_lines(message: str, *_count: int) -> None:
    """Prints how far something is."""
    print(message)


def audit(
    study: Study | str,
    config: RunConfig | None = None,
    *,
    data: Path | None = None,
    archive: Path | None = None,
    out: Path | None = None,
    tell: Tell = in_lines,
) -> Mapping[str, object]:
    """Reads everything that a study's trainings would read, and says what was left out and why.

    Calls the `audit(params, cache, tell)` of the trainable's module, where `params` are those that the study fixes.

    Args:
        study: or its name.
        config: where its work folder is; what is decoded stays in the cache there, for the trainings.
        data: another source than the study's, as its fixed param `data` names it.
        archive: another archive than the study's, as its fixed param `archive` names it.
        out: a file that gets the manifest as JSON.
        tell: called with how far the work is.

    Raises:
        UsageError: if the trainable has no such function, or the data cannot be used.
    """
    study, config = resolved(study, to_train=False), config or RunConfig()  # also data that no training could use
    function = load(study.ref).hook("audit")
    if function is None:
        raise UsageError(
            f"{f'trainable {study.trainable!r}' if study.trainable else 'a command'} does not say what its data are: "
            "its module has no function audit(params, cache, tell)"
        )
    said = {name: str(path.absolute()) for name, path in (("data", data), ("archive", archive)) if path is not None}
    found: Mapping[str, object] = function(
        {**study.fixed, **said}, work_dir(f"{config.work_root}/{study.name}").cache, tell
    )
    if out is not None:
        with explain_write_errors(out):
            write_text(out, json_text(found))
    return found


def write_phantoms(
    out: Path,
    n: int,
    *,
    study: str | None = None,
    folders: Iterable[Path] | None = None,
    dicom: bool = False,
    size: int = 256,
    seed: int = 0,
    tell: Tell = in_lines,
) -> Path:
    """Writes synthetic data and returns what a study's fixed param `data` is to name.

    Calls the `write_phantoms(out, n, dicom=, size=, seed=, tell=)` of the trainable's module.

    Args:
        out: an empty folder, or a new one.
        n: number of examinations, or of images.
        study: whose trainable writes them; None: the first study's whose trainable can.
        folders: where studies are.
        dicom: as DICOM files with a CSV file, rather than as pictures in folders.
        size: pixels along each side.
        seed: of the phantoms; the same one writes the same bytes.
        tell: called with how far the work is.

    Raises:
        UsageError: if no trainable can, or the folder has something in it.
    """
    paths = [catalog.find(study, folders)] if study else list(catalog.listed(folders))
    for path in paths:
        found = catalog.read(path).study
        try:
            function = load(found.ref).hook("write_phantoms") if found else None
        except HpoError:
            function = None  # a trainable that cannot be imported writes nothing
        if function is not None:
            return Path(function(out.absolute(), n, dicom=dicom, size=size, seed=seed, tell=tell))
    whose = f"of study {study!r}" if study else f"of {len(paths)} studies"
    raise UsageError(f"no trainable {whose} writes phantoms: its module would need a function write_phantoms")
