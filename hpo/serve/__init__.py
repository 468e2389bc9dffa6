"""Studies over HTTP: pages, an HTTP API, and Optuna's dashboard. `views` and `pages` work without fastapi."""
