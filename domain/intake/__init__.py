"""Rules of the intake itself, whatever kind a message is of."""
