"""A backend that trains in processes of this machine, without Ray."""

from hpo.backends.processes.backend import ProcessBackend
from hpo.backends.processes.cards import slots_of
from hpo.backends.processes.pool import ProcessPool

__all__ = ["ProcessBackend", "ProcessPool", "slots_of"]
