"""Backends that run jobs: one at a time in this process, or on Ray Tune's workers."""
