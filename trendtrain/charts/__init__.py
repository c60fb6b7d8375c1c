"""Charts of markets and scores; matplotlib is imported here alone."""
