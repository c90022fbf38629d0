"""The page the platform serves; its files are package data."""
