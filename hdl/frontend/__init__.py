"""Where samples come in."""
