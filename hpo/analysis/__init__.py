"""What randomness does to a result: decompose, replay, verify, compare, diagnose, instability."""
