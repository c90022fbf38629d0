"""Southbound OPC UA: reading and subscribing as a client."""
