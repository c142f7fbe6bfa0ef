"""Metrics, gauges, health and logs."""
