"""The promotion: the best trials of a search, retrained under the promotion's seeds, ranked, the winner written out."""
