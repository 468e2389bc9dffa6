"""Studies over HTTP: pages, an interface for programs, Optuna's dashboard. What needs fastapi is in `app`."""
