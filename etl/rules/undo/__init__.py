"""What an operator puts back: the net changes of a run with the steps that reverse them, and values that lost."""
