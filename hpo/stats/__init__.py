"""The statistics of replicates: scores, rankings, how sure they are, where variance comes from. Plain numbers."""
