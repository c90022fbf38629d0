"""Northbound MQTT: what is said, the queue, and the connection."""
