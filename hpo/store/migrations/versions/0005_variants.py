"""Jobs under one seed may differ in a stream that is drawn anew, or in nothing: the key says in what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

OLD = 'uq_hpo_evaluations_study_id_trial_stage_seed_fold_budget'
NEW = 'uq_hpo_evaluations_job'
KEY = ['study_id', 'trial', 'stage', 'seed', 'fold', 'budget']


def upgrade() -> None:
    with op.batch_alter_table('hpo_evaluations') as batch_op:
        batch_op.add_column(sa.Column('variant', sa.String(length=32), nullable=False, server_default=''))
        batch_op.drop_constraint(OLD, type_='unique')
        batch_op.create_unique_constraint(NEW, [*KEY, 'variant'])


def downgrade() -> None:
    op.execute("DELETE FROM hpo_evaluations WHERE variant <> ''")
    with op.batch_alter_table('hpo_evaluations') as batch_op:
        batch_op.drop_constraint(NEW, type_='unique')
        batch_op.create_unique_constraint(OLD, KEY)
        batch_op.drop_column('variant')
