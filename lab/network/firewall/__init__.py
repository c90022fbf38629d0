"""A stateful packet filter with network address translation and inspection of content, from frames to verdicts."""
