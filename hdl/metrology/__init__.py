"""From samples to energy."""
