"""``inspect``: the state store in the browser, read-only, for its owner alone."""
