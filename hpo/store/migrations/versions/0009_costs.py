"""What each run of a training has used, also of one that failed, was repeated or was stopped."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'hpo_costs',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('study_id', sa.Integer(), nullable=False),
        sa.Column('trial', sa.Integer(), nullable=False),
        sa.Column('stage', sa.String(length=16), nullable=False),
        sa.Column('seed', sa.BigInteger(), nullable=False),
        sa.Column('fold', sa.Integer(), nullable=False),
        sa.Column('budget', sa.Integer(), nullable=False),
        sa.Column('variant', sa.String(length=32), nullable=False),
        sa.Column('seconds', sa.Float(precision=53), nullable=False),
        sa.Column('gpus', sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(
            ['study_id'], ['hpo_studies.id'], name=op.f('fk_hpo_costs_study_id_hpo_studies'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_hpo_costs')),
    )
    op.create_index(op.f('ix_hpo_costs_study_id'), 'hpo_costs', ['study_id'], unique=False)


def downgrade() -> None:
    op.drop_index(op.f('ix_hpo_costs_study_id'), table_name='hpo_costs')
    op.drop_table('hpo_costs')
