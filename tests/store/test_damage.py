"""A damaged database file, or another kind of file: every command fails with a sentence."""

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
    """The file of a database with a promoted study, closed properly."""
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


def overwrite(pages):
    def damage(path):
        noise = random.Random(7)
        with path.open("r+b") as file:
            for page in pages:
                file.seek(4096 * page)
                file.write(noise.randbytes(4096))

    return damage


def overwrite_all_but_first(path):
    overwrite(range(1, path.stat().st_size // 4096))(path)


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def replace_by_pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = {
    "some pages": overwrite([3, 7, 11, 19]),
    "all pages": overwrite_all_but_first,
    "cut in the middle": lambda path: os.truncate(path, path.stat().st_size // 2),
    "cut within a page": lambda path: os.truncate(path, 5000),
    "cut within the header": lambda path: os.truncate(path, 50),
    "nothing left": lambda path: os.truncate(path, 0),
    "beginning": overwrite([0]),
    "text": lambda path: path.write_text("these are notes\n" * 1000),
    "folder": replace_by_folder,
    "pipe": replace_by_pipe,
}


def suppressed(harm):
    return suppress(StorageDamaged) if harm == "some pages" else nullcontext()


@pytest.mark.parametrize("harm", DAMAGES)
def test_damaged_file_gets_a_sentence(tmp_path, promoted, harm):
    study, whole = promoted
    for name, command in COMMANDS.items():
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(whole, folder / "hpo.db")
        DAMAGES[harm](folder / "hpo.db")
        config = hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")
        if harm == "nothing left" and name == "run":
            continue  # an empty file becomes a database
        may_pass = nullcontext() if harm == "some pages" else None  # a command may not read those pages
        with may_pass or pytest.raises((StorageDamaged, StorageUnavailable)) as caught, suppressed(harm):
            command(study, config)
        if may_pass is None:
            assert str(folder) in str(caught.value)


def test_damage_during_a_run(tmp_path, promoted):
    study, whole = promoted
    shutil.copy(whole, tmp_path / "hpo.db")
    config = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'hpo.db'}", outputs=tmp_path / "outputs", backend="local")

    class Damage(hpo.Observer):
        def asked(self, job):
            with sqlite3.connect(tmp_path / "hpo.db") as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            overwrite_all_but_first(tmp_path / "hpo.db")

    with pytest.raises(StorageDamaged, match=r"is damaged: .*\.recover"):
        hpo.run(study, replace(config, storage_wait=5.0), trials=14, observers=[Damage()])


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


@pytest.mark.slow
@pytest.mark.parametrize("statement", CHANGED.values(), ids=CHANGED)
def test_foreign_changes_get_a_sentence(tmp_path, promoted, statement):
    study, file = promoted
    file_copy = tmp_path / "hpo.db"
    config = hpo.RunConfig(
        storage=f"sqlite:///{file_copy}", outputs=tmp_path / "outputs", backend="local", storage_wait=60
    )
    messages = []
    for command in COMMANDS.values():
        shutil.copy(file, file_copy)
        connection = sqlite3.connect(file_copy)
        connection.execute(statement)
        connection.commit()
        connection.close()
        try:
            command(study, config)
        except HpoError as error:  # some commands report another error, e.g. that there is no such trial
            messages.append(str(error))
    wanted = ("does not hold what hpo stored there", "not a migration of hpo", "cannot be read")
    assert any(part in one for part in wanted for one in messages)


READ_ONLY = {
    "no index": "DROP INDEX ix_studies_study_name",
    "no table": "DROP TABLE trial_heartbeats",
    "no migration": "DELETE FROM hpo_alembic_version",
    "another": "UPDATE hpo_alembic_version SET version_num = '0000'",
}


@pytest.mark.parametrize("statement", READ_ONLY.values(), ids=READ_ONLY)
def test_readers_repair_nothing(tmp_path, promoted, statement):
    study, file = promoted
    file_copy = tmp_path / "hpo.db"
    shutil.copy(file, file_copy)
    with closing(sqlite3.connect(file_copy, isolation_level=None)) as connection:
        connection.execute(statement)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = file_copy.read_bytes()
    config = hpo.RunConfig(storage=f"sqlite:///{file_copy}", outputs=tmp_path / "outputs", backend="local")
    for name in ("status", "show", "rank", "report"):
        with suppress(HpoError):
            COMMANDS[name](study, config)
    assert file_copy.read_bytes() == before
