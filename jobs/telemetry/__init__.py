"""What a run reports to people and machines: logs, metrics, messages, progress."""
