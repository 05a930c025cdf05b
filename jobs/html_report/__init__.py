"""The HTML page that the command ``report`` writes."""
