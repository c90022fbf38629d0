"""A general controller, whose register map a trainee declares."""
