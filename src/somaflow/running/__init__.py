"""Running: one run of a network, from what was asked for to its recordings."""
