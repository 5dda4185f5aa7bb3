"""Simulation: systems advanced in chunks by one compiled loop, and the results they leave."""
