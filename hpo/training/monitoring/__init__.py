"""Records of each epoch of a model's training, and the alerts that follow from them."""
