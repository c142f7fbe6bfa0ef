"""What is allowed to happen: pure rules over frozen values. No I/O, no clock, no randomness."""
