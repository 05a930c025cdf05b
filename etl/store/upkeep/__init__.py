"""What keeps the store small: retention and erasure."""
