"""The bulk part: which baseline pair, row and item are one entry, and what changed."""
