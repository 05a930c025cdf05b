"""What one value is: cleaned, classified, and of which type."""
