"""Networks: frozen descriptions of populations, projections, stimuli and recorders."""
