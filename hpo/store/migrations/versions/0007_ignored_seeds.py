"""A promotion says whether candidates that ignore their seeds were allowed among the others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('hpo_promotions') as batch_op:
        batch_op.add_column(sa.Column('allow_ignored', sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    with op.batch_alter_table('hpo_promotions') as batch_op:
        batch_op.drop_column('allow_ignored')
