"""The `somaflow` command."""
