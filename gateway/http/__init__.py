"""Northbound HTTP: reports pushed in batches."""
