"""Type tests: the standards' limits and test points, and the laboratory that runs them."""
