"""Planning: what a run would need of memory, disk and time."""
