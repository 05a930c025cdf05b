"""Writing for all stages: the journal, the entries of both systems, reading back, and the status people see."""
