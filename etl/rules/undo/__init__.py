"""What an operator puts back: the net change of a run, and the steps that reverse it."""
