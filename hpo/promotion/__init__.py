"""The promotion: retrains the best trials of a search under other seeds, ranks them, writes the winner's results."""
