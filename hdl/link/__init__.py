"""Where the outside reads and presets the meter."""
