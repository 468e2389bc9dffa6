"""The same training may be wanted several times, and each time is a record of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

KEY = ['study_id', 'trial', 'stage', 'seed', 'fold', 'budget']
OLD = 'uq_hpo_evaluations_' + '_'.join(KEY)
NEW = OLD + '_repeat'


def upgrade() -> None:
    with op.batch_alter_table('hpo_evaluations') as batch_op:
        batch_op.add_column(sa.Column('repeat', sa.Integer(), server_default='0', nullable=False))
        batch_op.drop_constraint(batch_op.f(OLD), type_='unique')
        batch_op.create_unique_constraint(batch_op.f(NEW), [*KEY, 'repeat'])


def downgrade() -> None:
    op.execute('DELETE FROM hpo_evaluations WHERE repeat > 0')
    with op.batch_alter_table('hpo_evaluations') as batch_op:
        batch_op.drop_constraint(batch_op.f(NEW), type_='unique')
        batch_op.create_unique_constraint(batch_op.f(OLD), KEY)
        batch_op.drop_column('repeat')
