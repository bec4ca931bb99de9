"""Memories that block RAM is not enough for."""
