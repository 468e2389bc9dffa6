"""The trainings that run right now, for those who watch."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('hpo_leases', sa.Column('running', sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column('hpo_leases', 'running')
