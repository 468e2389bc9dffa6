"""Studies, drivers, leases, evaluations, promotions and their rankings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('hpo_studies',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('uid', sa.String(length=36), nullable=False),
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('content', sa.JSON(), nullable=False),
    sa.Column('identity', sa.JSON(), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_hpo_studies')),
    sa.UniqueConstraint('name', name=op.f('uq_hpo_studies_name')),
    sa.UniqueConstraint('uid', name=op.f('uq_hpo_studies_uid'))
    )
    op.create_table('hpo_drivers',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('study_id', sa.Integer(), nullable=False),
    sa.Column('verb', sa.String(length=16), nullable=False),
    sa.Column('host', sa.String(length=255), nullable=False),
    sa.Column('pid', sa.Integer(), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['study_id'], ['hpo_studies.id'], name=op.f('fk_hpo_drivers_study_id_hpo_studies'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_hpo_drivers'))
    )
    with op.batch_alter_table('hpo_drivers', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_hpo_drivers_study_id'), ['study_id'], unique=False)

    op.create_table('hpo_evaluations',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('study_id', sa.Integer(), nullable=False),
    sa.Column('trial', sa.Integer(), nullable=False),
    sa.Column('stage', sa.String(length=16), nullable=False),
    sa.Column('seed', sa.BigInteger(), nullable=False),
    sa.Column('fold', sa.Integer(), nullable=False),
    sa.Column('budget', sa.Integer(), nullable=False),
    sa.Column('params', sa.JSON(), nullable=False),
    sa.Column('streams', sa.JSON(), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('value', sa.Float(precision=53), nullable=True),
    sa.Column('step', sa.Integer(), nullable=True),
    sa.Column('reports', sa.JSON(), nullable=False),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('seconds', sa.Float(precision=53), nullable=False),
    sa.Column('digests', sa.JSON(), nullable=False),
    sa.Column('fingerprint', sa.JSON(), nullable=False),
    sa.Column('files', sa.Text(), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("status <> 'complete' OR value IS NOT NULL", name=op.f('ck_hpo_evaluations_complete_has_value')),
    sa.CheckConstraint("status IN ('complete', 'pruned', 'failed')", name=op.f('ck_hpo_evaluations_status')),
    sa.CheckConstraint('seed >= 0 AND fold >= 0 AND budget >= 1 AND trial >= 0', name=op.f('ck_hpo_evaluations_numbers')),
    sa.CheckConstraint('value IS NULL OR (value > -1e308 AND value < 1e308)', name=op.f('ck_hpo_evaluations_value_finite')),
    sa.ForeignKeyConstraint(['study_id'], ['hpo_studies.id'], name=op.f('fk_hpo_evaluations_study_id_hpo_studies'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_hpo_evaluations')),
    sa.UniqueConstraint('study_id', 'trial', 'stage', 'seed', 'fold', 'budget', name=op.f('uq_hpo_evaluations_study_id_trial_stage_seed_fold_budget'))
    )
    op.create_table('hpo_promotions',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('study_id', sa.Integer(), nullable=False),
    sa.Column('rule', sa.String(length=32), nullable=False),
    sa.Column('lambda', sa.Float(precision=53), nullable=False),
    sa.Column('ddof', sa.Integer(), nullable=False),
    sa.Column('seeds', sa.JSON(), nullable=False),
    sa.Column('top', sa.Integer(), nullable=False),
    sa.Column('results', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['study_id'], ['hpo_studies.id'], name=op.f('fk_hpo_promotions_study_id_hpo_studies'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_hpo_promotions'))
    )
    with op.batch_alter_table('hpo_promotions', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_hpo_promotions_study_id'), ['study_id'], unique=False)

    op.create_table('hpo_leases',
    sa.Column('study_id', sa.Integer(), nullable=False),
    sa.Column('token', sa.BigInteger(), nullable=False),
    sa.Column('driver_id', sa.Integer(), nullable=False),
    sa.Column('renewed', sa.Float(precision=53), nullable=False),
    sa.Column('expires', sa.Float(precision=53), nullable=False),
    sa.ForeignKeyConstraint(['driver_id'], ['hpo_drivers.id'], name=op.f('fk_hpo_leases_driver_id_hpo_drivers'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['study_id'], ['hpo_studies.id'], name=op.f('fk_hpo_leases_study_id_hpo_studies'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('study_id', name=op.f('pk_hpo_leases'))
    )
    op.create_table('hpo_rankings',
    sa.Column('promotion_id', sa.Integer(), nullable=False),
    sa.Column('trial', sa.Integer(), nullable=False),
    sa.Column('rank', sa.Integer(), nullable=True),
    sa.Column('values', sa.JSON(), nullable=False),
    sa.Column('mean', sa.Float(precision=53), nullable=True),
    sa.Column('sigma', sa.Float(precision=53), nullable=True),
    sa.Column('score', sa.Float(precision=53), nullable=True),
    sa.Column('search_value', sa.Float(precision=53), nullable=True),
    sa.ForeignKeyConstraint(['promotion_id'], ['hpo_promotions.id'], name=op.f('fk_hpo_rankings_promotion_id_hpo_promotions'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('promotion_id', 'trial', name=op.f('pk_hpo_rankings'))
    )


def downgrade() -> None:
    op.drop_table('hpo_rankings')
    op.drop_table('hpo_leases')
    with op.batch_alter_table('hpo_promotions', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_hpo_promotions_study_id'))

    op.drop_table('hpo_promotions')
    op.drop_table('hpo_evaluations')
    with op.batch_alter_table('hpo_drivers', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_hpo_drivers_study_id'))

    op.drop_table('hpo_drivers')
    op.drop_table('hpo_studies')
