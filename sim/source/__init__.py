"""Waveforms: mains, loads, recordings."""
