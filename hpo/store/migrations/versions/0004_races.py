"""A promotion may have been a race, whose winner need not be the first of the ranking."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('hpo_promotions') as batch_op:
        batch_op.add_column(sa.Column('winner', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('race', sa.JSON(), nullable=True))
    op.execute(
        'UPDATE hpo_promotions SET winner = (SELECT trial FROM hpo_rankings '
        'WHERE promotion_id = hpo_promotions.id AND rank = 1)'
    )


def downgrade() -> None:
    with op.batch_alter_table('hpo_promotions') as batch_op:
        batch_op.drop_column('race')
        batch_op.drop_column('winner')
