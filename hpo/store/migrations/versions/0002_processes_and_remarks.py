"""Which process exactly a driver is, and what went wrong with a training and was made good."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('hpo_drivers') as batch_op:
        batch_op.add_column(sa.Column('process', sa.String(length=128), nullable=True))
    with op.batch_alter_table('hpo_evaluations') as batch_op:
        batch_op.add_column(sa.Column('remarks', sa.JSON(), nullable=False, server_default='[]'))


def downgrade() -> None:
    with op.batch_alter_table('hpo_evaluations') as batch_op:
        batch_op.drop_column('remarks')
    with op.batch_alter_table('hpo_drivers') as batch_op:
        batch_op.drop_column('process')
