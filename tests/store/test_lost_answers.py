"""A commit whose answer was lost: the repeated call must not do the work twice."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hpo.core.errors import StorageAway
from hpo.core.records import Evaluation, Report, Status
from hpo.core.run_config import RunConfig
from hpo.driver.session import RunContext, Session
from hpo.search.source import SearchSource
from hpo.store import RecordedSource


@pytest.fixture
def source(curve, tmp_path, storage_url):
    """A recorded search, and a switch that loses the answers to the next commits of either engine."""
    config = RunConfig(storage=storage_url, outputs=tmp_path, backend="local")
    with Session.open(curve(), RunContext.of(curve(), config), create=True) as found, found.drive("run") as lease:
        made = RecordedSource(SearchSource(curve(), found.durable), found.store, found.stored, lease)
        made.opened = found
        yield made


def lose_answers(engine, calls):
    """Lets the next `calls` commits of `engine` land, but loses their answers."""
    left, commit = [calls], type(engine.dialect).do_commit.__get__(engine.dialect)

    def do_commit(connection):
        commit(connection)
        if left[0]:
            left[0] -= 1
            raise engine.dialect.dbapi.OperationalError("server closed the connection unexpectedly")

    engine.dialect.do_commit = do_commit


def retried(call, *arguments):
    times = 0
    while True:
        try:
            return call(*arguments), times
        except StorageAway:
            times += 1
            skip_pause(call)


def skip_pause(call):
    call.__self__._store._outage._next = 0.0


@pytest.mark.parametrize("which", ["optuna", "ours"])
def test_lost_answers_repeat_nothing(source, which):
    found = source.opened
    engine = found.studies.engine if which == "optuna" else found.store._engine
    lost = 0
    for number in range(3):
        lose_answers(engine, 1)
        job, times = retried(source.ask)
        lost += times
        assert job.trial == number
        lose_answers(engine, 1)
        goes_on, times = retried(source.report, job, 1, 0.5)
        lost += times
        assert goes_on
        lose_answers(engine, 1)
        report = Report(step=1, metrics={"val": 0.5}, at=0.0)
        evaluation = Evaluation(job=job, status=Status.COMPLETE, value=0.5, step=1, reports=(report,))
        if number == 2:
            evaluation = Evaluation(job=job, status=Status.FAILED, error="it broke", reports=(report,))
        _, times = retried(source.tell, evaluation)
        lost += times
    assert lost >= 3
    trials = found.durable.trials()
    assert [trial.state for trial in trials] == ["complete", "complete", "failed"]
    stored = found.store.evaluations(found.stored)
    assert [one.job.trial for one in stored] == [0, 1, 2]
    with found.store._reading() as connection:
        attempts = connection.execute(sa.text("SELECT attempts FROM hpo_evaluations ORDER BY trial")).scalars().all()
    assert attempts == [1, 1, 1]
