"""Statistics of replicates: scores, rankings, confidence, variance decomposition. Plain numbers."""
