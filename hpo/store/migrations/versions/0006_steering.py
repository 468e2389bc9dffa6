"""What is wished of a study and of its driver from elsewhere: to pause, to stop; and the job that was submitted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op


revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


# Column by column: a batch may copy the table on SQLite, and dropping the old one would take the rows that refer to it.
COLUMNS: list[tuple[str, str, Any]] = [
    ('hpo_studies', 'paused_at', sa.DateTime(timezone=True)),
    ('hpo_studies', 'job', sa.String(length=128)),
    ('hpo_drivers', 'stopping_at', sa.DateTime(timezone=True)),
    ('hpo_drivers', 'job', sa.String(length=128)),
]


def upgrade() -> None:
    for table, name, kind in COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for table, name, _ in COLUMNS:
        op.drop_column(table, name)
