"""Devices on serial lines, and the server that brings them to Ethernet."""
