"""Direct current on wires between terminals: supplies, transmitters, contacts, and the inputs that read them."""
