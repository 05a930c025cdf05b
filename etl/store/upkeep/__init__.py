"""Deleting from the store: retention and erasure."""
