"""A driver that hung and was replaced writes no file that others read."""

from __future__ import annotations

import hashlib
import os

import pytest
import sqlalchemy as sa

import hpo
from hpo import api
from hpo.core.errors import StudyBusy
from hpo.driver.storage import storage
from hpo.store import normalize_url


def seen(folder):
    """What others see in a folder: names that begin with a dot are of files that are being written."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


@pytest.fixture
def replaced_at(config, monkeypatch):
    """Returns a function: another driver takes over as the n-th file is synced; it returns what was seen then."""

    def arm(number):
        found, count = {}, 0

        def fsync(handle, real=os.fsync):
            nonlocal count
            real(handle)
            count += os.readlink(f"/proc/self/fd/{handle}").startswith(str(config.outputs / "curve"))
            if count == number and not found:
                engine = sa.create_engine(normalize_url(config.storage))
                with engine.begin() as connection:
                    connection.execute(sa.text("UPDATE hpo_leases SET token = token + 1"))
                engine.dispose()
                found.update(seen(config.outputs / "curve"))

        monkeypatch.setattr(os, "fsync", fsync)
        return found

    return arm


@pytest.mark.slow
def test_replaced_driver_writes_no_promotion(curve, config, replaced_at, monkeypatch):
    hpo.run(curve(), config)
    hpo.promote(curve(), config)
    for number in (1, 3, 5):
        lambda_ = 1.0 + number
        found = replaced_at(number)
        with pytest.raises(StudyBusy, match="has taken this study over"):
            hpo.promote(curve(), config, lambda_=lambda_)
        assert found
        assert seen(config.outputs / "curve") == found, f"taken over at file {number}"
        monkeypatch.undo()
        hpo.promote(curve(), config)  # which writes all files again


@pytest.mark.slow
def test_replaced_driver_has_no_results(curve, config, replaced_at):
    hpo.run(curve(), config)
    found = replaced_at(1)
    with pytest.raises(StudyBusy, match="has taken this study over"):
        hpo.promote(curve(), config)
    assert found == {}
    assert [path.name for path in (config.outputs / "curve").iterdir()] == []
    with storage(config.storage) as (store, _):
        assert store.promotion(store.find("curve")) is None


@pytest.mark.slow
def test_replaced_driver_cannot_decompose(curve, config, replaced_at):
    hpo.run(curve(), config)
    before = len(list(config.outputs.rglob("decomposition-*")))
    replaced_at(1)
    with pytest.raises(StudyBusy, match="has taken this study over"):
        api.decompose(curve(), config, trial=0, n=2, replays=0, sources=["order"])
    assert len(list(config.outputs.rglob("decomposition-*"))) == before
