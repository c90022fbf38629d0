"""Readers of transponders and of bar codes: what they see becomes events, each once."""
