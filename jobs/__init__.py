"""How runs are started: command line, pipeline, scheduler, configuration, reports, and the sandbox."""
