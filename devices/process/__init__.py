"""Physical processes in plant time, without devices: what a controller measures and moves."""
