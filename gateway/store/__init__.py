"""Store and forward: what has not arrived is kept in order, on the disk as soon as it has waited for a moment."""
