"""How sigma is estimated may be a word: 0, 1 or unbiased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('hpo_promotions') as batch_op:
        batch_op.alter_column(
            'ddof',
            existing_type=sa.Integer(),
            type_=sa.String(length=16),
            existing_nullable=False,
            postgresql_using='ddof::varchar(16)',
        )


def downgrade() -> None:
    op.execute("UPDATE hpo_promotions SET ddof = '1' WHERE ddof = 'unbiased'")
    with op.batch_alter_table('hpo_promotions') as batch_op:
        batch_op.alter_column(
            'ddof',
            existing_type=sa.String(length=16),
            type_=sa.Integer(),
            existing_nullable=False,
            postgresql_using='ddof::integer',
        )
