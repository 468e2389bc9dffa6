"""The trainings that run now, as those who watch read them."""

from __future__ import annotations

import re
import threading
import time

import pytest

import hpo
from hpo.core.records import Stage
from hpo.serve.pages.render import study_page
from hpo.serve.views import study_view
from hpo.store import Store
from hpo.store.running import running_of


def until(found, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.05)
    raise AssertionError("it never was")


@pytest.mark.slow
def test_a_running_promotion_shows_epochs(curve, config, monkeypatch):
    monkeypatch.setattr("hpo.store.lease.SAVE_SECONDS", 0.1)
    monkeypatch.setattr("hpo.store.lease.POLL_SECONDS", 0.1)
    tables = {"search": {"trials": 1, "budget": 40, "pruner": "none"}, "promotion": {"seeds": [43, 44]}}
    study = curve(**tables, fixed={"nap": 0.2})
    hpo.run(study, config)
    stop = threading.Event()
    thread = threading.Thread(target=hpo.promote, args=(study, config), kwargs={"stop": stop})
    thread.start()
    try:
        [now] = until(lambda: [one for one in study_view("curve", config).replicates if one.epoch > 1])
        assert (now.trial, now.stage, now.seed, now.budget) == (0, Stage.PROMOTION, 43, 40)
        assert now.value is not None
        page = study_page(study_view("curve", config))
        assert re.search(r'aria-label="epochs of trial 0, seed 43">\d+</progress> \d+ of 40', page)
    finally:
        stop.set()
        thread.join()
    store = Store(config.storage)
    assert running_of(store, store.find("curve")) == ()
    store.close()
