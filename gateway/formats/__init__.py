"""How reports are written for those who receive them, and how their commands are read."""
