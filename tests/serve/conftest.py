"""A storage with a promoted study, created once, and servers for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import hpo
from hpo.serve.views import study_views
from hpo.store import Store
from hpo.store.promotions import StoredPromotion, StoredRank
from hpo.study.loading import read

pytest.importorskip("fastapi", reason="serving needs the extra web")

from starlette.testclient import TestClient

from hpo.serve.app import application
from hpo.serve.settings import Settings

PROJECT = Path(__file__).parents[1] / "project"
TOKEN = "a token of more than sixteen letters"


def study(name: str, **search):
    content = read(PROJECT / "studies" / "curve.toml").study.content()
    search = {**content["search"], "trials": 6, "budget": 3, **search}
    return hpo.Study.model_validate({**content, "name": name, "search": search}).located(PROJECT)


@pytest.fixture(scope="session")
def promoted_config(tmp_path_factory) -> hpo.RunConfig:
    """Two studies in one storage: `curve` is promoted, `idle` is only searched."""
    folder = tmp_path_factory.mktemp("served")
    config = hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")
    hpo.run(study("curve"), config)
    hpo.promote(study("curve"), config, top=3)
    hpo.run(study("idle"), config)
    return config


VALUES = {0: (0.90, 0.70, 0.80), 1: (0.78, 0.80, 0.79), 2: (0.60, 0.85, 0.92), 3: (0.70, None, 0.71)}
"""Values of three candidates whose order depends on lambda, and of an incomplete one."""


@pytest.fixture
def contested(tmp_path) -> hpo.RunConfig:
    """A study `curve` with a stored promotion whose winner depends on lambda."""
    config = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'hpo.db'}", outputs=tmp_path / "outputs", backend="local")
    hpo.run(study("curve"), config)
    ranks = [
        StoredRank(
            trial=trial,
            rank=None,
            values=dict(zip(("42", "43", "44"), values, strict=True)),
            mean=None,
            sigma=None,
            score=None,
            search_value=0.8,
        )
        for trial, values in VALUES.items()
    ]
    store = Store(config.storage)
    store.put_promotion(
        store.find("curve"),
        StoredPromotion(
            rule="mean-std", lambda_=1.0, ddof=0, seeds=(42, 43, 44), top=4, results=(), ranks=tuple(ranks), winner=1
        ),
    )
    store.close()
    return config


@pytest.fixture
def client(promoted_config) -> Iterator[TestClient]:
    """A client of a server without a token."""
    with study_views(promoted_config) as views:
        yield TestClient(application(views, Settings(), promoted_config), base_url="http://127.0.0.1")


@pytest.fixture
def token_client(promoted_config) -> Iterator[TestClient]:
    """A client of a server with a token, which does not follow redirects."""
    with study_views(promoted_config) as views:
        app = application(views, Settings(token=TOKEN), promoted_config)
        yield TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
