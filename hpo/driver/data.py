"""`data`: audits or writes the data of a study, by functions that the trainable's module may offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from hpo.core.errors import HpoError, UsageError
from hpo.core.files import explain_write_errors, write_text
from hpo.core.protocols import Tell
from hpo.core.run_config import RunConfig
from hpo.driver.options import AuditOptions, EmbedOptions, PhantomOptions, accepts_options
from hpo.driver.session import resolve_study
from hpo.results import json_text
from hpo.study import Study
from hpo.study import loading as catalog
from hpo.study.trainable import load
from hpo.training import work_dir


def print_progress(message: str, *_count: int) -> None:
    """Prints one line of progress."""
    print(message)


@accepts_options(AuditOptions)
def audit(study: Study | str, config: RunConfig | None, options: AuditOptions) -> Mapping[str, object]:
    """Reads everything that a study's trainings would read, and returns what was left out and why.

    Calls `audit(params, cache, tell)` of the trainable's module; `params` are those that the study fixes.

    Args:
        study: the study, or its name.
        config: where its work folder is; decoded data stays in the cache there, for the trainings.
        options: other data than the study's, and where the manifest is written.

    Raises:
        UsageError: if the trainable has no such function, or the data cannot be used.
    """
    study, config = resolve_study(study, to_train=False), config or RunConfig()  # also data that no training could use
    function = load(study.ref).hook("audit")
    if function is None:
        raise UsageError(
            f"{f'trainable {study.trainable!r}' if study.trainable else 'a command'} cannot audit its data: "
            "its module has no function audit(params, cache, tell)"
        )
    own = {"data": options.data, "archive": options.archive}
    given = {name: str(Path(path).absolute()) for name, path in own.items() if path is not None}
    found: Mapping[str, object] = function(
        {**study.fixed, **given}, work_dir(f"{config.work_root}/{study.name}").cache, options.tell or print_progress
    )
    if options.out is not None:
        with explain_write_errors(options.out):
            write_text(options.out, json_text(found))
    return found


def write_embeddings(study: Study | str, config: RunConfig | None, out: Path, options: EmbedOptions) -> Path:
    """Writes the embeddings of a study's images and returns the value for its fixed param `embeddings_dir`.

    Calls `write_embeddings(params, cache, out, weights, tell)` of the trainable's module; `params` are those that the
    study fixes.

    Args:
        study: the study, or its name.
        config: where its work folder is; images and embeddings stay in the cache there.
        out: an empty folder, or one that does not exist yet.
        options: weights and data.

    Raises:
        UsageError: if the trainable has no such function, there are no weights, or the data cannot be used.
    """
    study, config = resolve_study(study, to_train=False), config or RunConfig()
    function = load(study.ref).hook("write_embeddings")
    if function is None:
        raise UsageError(
            f"{f'trainable {study.trainable!r}' if study.trainable else 'a command'} cannot compute embeddings: its "
            "module has no function write_embeddings(params, cache, out, weights, tell)"
        )
    weights = options.weights or study.fixed.get("weights")
    if not weights:
        raise UsageError(
            "embeddings are features of trained weights: name their file with --weights, or as a fixed param `weights`"
        )
    own = {"data": options.data, "archive": options.archive}
    given = {name: str(Path(path).absolute()) for name, path in own.items() if path is not None}
    place = Path(str(weights)) if options.weights is None else options.weights.absolute()
    cache = work_dir(f"{config.work_root}/{study.name}").cache
    return Path(function({**study.fixed, **given}, cache, out.absolute(), place, options.tell or print_progress))


def write_phantoms(
    out: Path,
    options: PhantomOptions,
    *,
    study: str | None = None,
    folders: Iterable[Path] | None = None,
    tell: Tell = print_progress,
) -> Path:
    """Writes synthetic data and returns the value for a study's fixed param `data`.

    Calls `write_phantoms(out, n, dicom=, size=, seed=, tell=)` of the trainable's module.

    Args:
        out: an empty folder, or one that does not exist yet.
        options: how many and which.
        study: name of the study whose trainable writes them; None: the first study whose trainable can.
        folders: folders to look for studies in.
        tell: called with the progress of the work.

    Raises:
        UsageError: if no trainable can write phantoms, or the folder is not empty.
    """
    paths = [catalog.find(study, folders)] if study else list(catalog.listed(folders))
    for path in paths:
        found = catalog.read(path).study
        try:
            function = load(found.ref).hook("write_phantoms") if found else None
        except HpoError:
            function = None  # a trainable that cannot be imported is skipped
        if function is not None:
            return Path(
                function(
                    out.absolute(), options.n, dicom=options.dicom, size=options.size, seed=options.seed, tell=tell
                )
            )
    whose = f"the trainable of study {study!r}" if study else f"none of the trainables of {len(paths)} studies"
    verb = "cannot" if study else "can"
    raise UsageError(f"{whose} {verb} write phantoms: its module needs a function write_phantoms")
