"""A database file that is damaged, or is none: every command ends in a sentence."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import pytest

import hpo
from hpo import api
from hpo.core.errors import HpoError, StorageDamaged, StorageUnavailable

PROJECT = Path(__file__).parents[1] / "project"


@pytest.fixture(scope="module")
def promoted(tmp_path_factory):
    """The file of a database with a promoted study, closed in order."""
    folder = tmp_path_factory.mktemp("promoted")
    study = hpo.Study.model_validate(
        {
            "name": "curve",
            "trainable": "toys.curve:train",
            "objective": {"metric": "val"},
            "space": {"x": {"float": [0.0, 1.0]}},
            "fixed": {"k": 1, "shape": "flat"},
            "search": {"trials": 12, "budget": 3, "sampler": "random"},
            "promotion": {"top": 2},
        }
    ).located(PROJECT)
    config = hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")
    hpo.run(study, config)
    hpo.promote(study, config)
    return study, folder / "hpo.db"


COMMANDS = {
    "status": lambda _study, config: api.status(None, config),
    "show": lambda study, config: api.show(study, 0, config),
    "rank": lambda study, config: api.rank_stored(study, config),
    "report": lambda study, config: api.write_report(study.name, config),
    "pause": lambda study, config: api.pause(study.name, config),
    "run": lambda study, config: hpo.run(study, config, trials=13),
    "promote": lambda study, config: hpo.promote(study, config),
}


def overwritten(pages):
    def harm(path):
        noise = random.Random(7)
        with path.open("r+b") as file:
            for page in pages:
                file.seek(4096 * page)
                file.write(noise.randbytes(4096))

    return harm


def every_page_but_the_first(path):
    overwritten(range(1, path.stat().st_size // 4096))(path)


def replaced_by_a_folder(path):
    path.unlink()
    path.mkdir()


def replaced_by_a_pipe(path):
    path.unlink()
    os.mkfifo(path)


HARMS = {
    "some pages": overwritten([3, 7, 11, 19]),
    "all pages": every_page_but_the_first,
    "cut in the middle": lambda path: os.truncate(path, path.stat().st_size // 2),
    "cut within a page": lambda path: os.truncate(path, 5000),
    "cut within the header": lambda path: os.truncate(path, 50),
    "nothing left": lambda path: os.truncate(path, 0),
    "beginning": overwritten([0]),
    "text": lambda path: path.write_text("these are notes\n" * 1000),
    "folder": replaced_by_a_folder,
    "pipe": replaced_by_a_pipe,
}


def suppressed(harm):
    return suppress(StorageDamaged) if harm == "some pages" else nullcontext()


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_file_gets_a_sentence_from_every_command(tmp_path, promoted, harm):
    study, whole = promoted
    for name, command in COMMANDS.items():
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(whole, folder / "hpo.db")
        HARMS[harm](folder / "hpo.db")
        config = hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")
        if harm == "nothing left" and name == "run":
            continue  # an empty file becomes a database
        may_pass = nullcontext() if harm == "some pages" else None  # a command need not meet those
        with may_pass or pytest.raises((StorageDamaged, StorageUnavailable)) as caught, suppressed(harm):
            command(study, config)
        if may_pass is None:
            assert str(folder) in str(caught.value)


def test_a_damage_that_comes_while_a_study_is_driven_gets_a_sentence(tmp_path, promoted):
    study, whole = promoted
    shutil.copy(whole, tmp_path / "hpo.db")
    config = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'hpo.db'}", outputs=tmp_path / "outputs", backend="local")

    class Harm(hpo.Observer):
        def asked(self, job):
            with sqlite3.connect(tmp_path / "hpo.db") as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            every_page_but_the_first(tmp_path / "hpo.db")

    with pytest.raises(StorageDamaged, match=r"is damaged: .*\.recover"):
        hpo.run(study, replace(config, storage_wait=5.0), trials=14, observers=[Harm()])


CHANGED = {
    "no table": "DROP TABLE trials",
    "no column": "ALTER TABLE trials RENAME COLUMN state TO estate",
    "no JSON": "UPDATE hpo_studies SET content = '{not json'",
    "no study": "UPDATE hpo_studies SET content = '{}'",
    "no migration": "UPDATE hpo_alembic_version SET version_num = '0000'",
    "no distribution": 'UPDATE trial_params SET distribution_json = \'{"name": "Newer", "attributes": {}}\'',
    "no number": "UPDATE trial_params SET param_value = 'x'",
    "no value": "DELETE FROM trial_values",
}


@pytest.mark.parametrize("statement", CHANGED.values(), ids=CHANGED)
def test_what_another_program_changed_gets_a_sentence_from_every_command(tmp_path, promoted, statement):
    study, file = promoted
    harmed = tmp_path / "hpo.db"
    config = hpo.RunConfig(
        storage=f"sqlite:///{harmed}", outputs=tmp_path / "outputs", backend="local", storage_wait=60
    )
    said = []
    for command in COMMANDS.values():
        shutil.copy(file, harmed)
        connection = sqlite3.connect(harmed)
        connection.execute(statement)
        connection.commit()
        connection.close()
        try:
            command(study, config)
        except HpoError as error:  # of some commands another one, e.g. that there is no such trial
            said.append(str(error))
    wanted = ("does not hold what hpo has stored there", "no migration of hpo's", "cannot be read")
    assert any(part in one for part in wanted for one in said)


LOOKED_AT = {
    "no index": "DROP INDEX ix_studies_study_name",
    "no table": "DROP TABLE trial_heartbeats",
    "no migration": "DELETE FROM hpo_alembic_version",
    "another": "UPDATE hpo_alembic_version SET version_num = '0000'",
}


@pytest.mark.parametrize("statement", LOOKED_AT.values(), ids=LOOKED_AT)
def test_who_only_looks_repairs_nothing(tmp_path, promoted, statement):
    study, file = promoted
    harmed = tmp_path / "hpo.db"
    shutil.copy(file, harmed)
    with closing(sqlite3.connect(harmed, isolation_level=None)) as connection:
        connection.execute(statement)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = harmed.read_bytes()
    config = hpo.RunConfig(storage=f"sqlite:///{harmed}", outputs=tmp_path / "outputs", backend="local")
    for name in ("status", "show", "rank", "report"):
        with suppress(HpoError):
            COMMANDS[name](study, config)
    assert harmed.read_bytes() == before
