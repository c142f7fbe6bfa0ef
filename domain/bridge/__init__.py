"""Predictions of providers that must be polled."""
