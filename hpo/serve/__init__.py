"""Studies over HTTP: pages, an interface for programs, Optuna's dashboard; fastapi's and optuna_dashboard's room."""

from hpo.serve.app import application, serve
from hpo.serve.settings import Settings, read_token
from hpo.serve.steering import Cluster

__all__ = ["Cluster", "Settings", "application", "read_token", "serve"]
