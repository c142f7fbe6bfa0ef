"""Agents, as their sessions show them."""
