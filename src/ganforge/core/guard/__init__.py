"""Says in words that a training goes wrong."""
