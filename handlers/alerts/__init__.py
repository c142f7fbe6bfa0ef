"""Alerts: what rules read, what follows from a decision, what operators ask and do."""
