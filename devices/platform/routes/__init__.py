"""What the platform answers over HTTP, by subject."""
