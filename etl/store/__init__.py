"""What the sync remembers: one SQLite file, and the only SQL of the product."""
