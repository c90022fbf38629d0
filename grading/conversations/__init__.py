"""Who understands what is said in a TCP conversation: one module for each protocol."""
