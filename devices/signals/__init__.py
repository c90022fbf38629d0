"""Parts of a control cabinet and of the field: sensors, I/O stations, supplies, terminals, wireless."""
