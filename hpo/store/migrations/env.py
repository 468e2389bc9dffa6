"""How alembic runs our migrations: on a given connection, on our tables only, under a version table of our own."""

from __future__ import annotations

from alembic import context

from hpo.store.schema import VERSION_TABLE
from hpo.store.tables import Base


def _ours(name: str | None, kind: str, _parents: object) -> bool:
    """Without this a comparison would take Optuna's tables for ones to be dropped."""
    return kind != "table" or bool(name and name.startswith("hpo_") and name != VERSION_TABLE)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    include_name=_ours,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
