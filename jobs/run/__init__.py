"""The kinds of run, and what one run needs and reports."""
