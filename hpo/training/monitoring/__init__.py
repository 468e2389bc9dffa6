"""What is seen to go wrong while a model trains."""
