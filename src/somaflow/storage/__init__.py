"""Storage: where results go, and what is left there: stores, folders, checkpoints."""
