"""Intrusion detection: rules as Suricata writes them, on what a mirror port shows."""
