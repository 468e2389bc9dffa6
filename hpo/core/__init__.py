"""The foundation of all packages: jobs, evaluations, protocols of sources and backends, errors, files."""
