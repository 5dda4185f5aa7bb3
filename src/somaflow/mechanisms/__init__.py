"""Mechanisms: channels, synapses, pools and neurons as data files that test themselves."""
