"""Studies over HTTP: pages, an interface for programs, Optuna's dashboard; fastapi's and optuna_dashboard's room."""

from hpo.web.app import application, serve
from hpo.web.settings import Settings, read_token
from hpo.web.steering import Cluster

__all__ = ["Cluster", "Settings", "application", "read_token", "serve"]
