"""What the meter shows: pulses, counter, indicators."""
