"""What runs jobs: in this process one after the other, or on Ray Tune's workers."""
