"""A study knows the code that it was trained with, one entry for each that was used, the newest last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


# No batch: it may copy the table on SQLite, and dropping the old one would take the rows that refer to it.
def upgrade() -> None:
    op.add_column('hpo_studies', sa.Column('codes', sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column('hpo_studies', 'codes')
