"""A sweep gives what `sf.simulate` gives of each member, and goes on wherever it was stopped."""
