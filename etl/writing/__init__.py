"""What the stages write with: the journal, both systems' entries, the reading back, the status people see."""
