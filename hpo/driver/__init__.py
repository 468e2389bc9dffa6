"""What drives a study: opening it, steering it, looking at it, and the commands that change nothing in its results."""
