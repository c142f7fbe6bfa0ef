"""Agents: what they were last heard to do, what they are told, and what they answer."""
