"""One run: its stages, and what they use."""
