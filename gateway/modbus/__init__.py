"""Southbound Modbus TCP: what to ask for, how to read the answers, and the connection."""
