"""Rules of alerts: their states, when they are raised, held and cleared, and whom that is told."""
