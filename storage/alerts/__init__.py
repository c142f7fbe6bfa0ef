"""Alerts: rules, state, history, what notifiers were told, and what rules count."""
