"""Identification resolution: the nodes that know what is behind an identifier."""
