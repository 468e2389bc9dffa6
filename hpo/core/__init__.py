"""What everything else is built on: jobs, evaluations, the protocols between sources and backends, errors, files."""
