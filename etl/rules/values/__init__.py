"""What one value means: cleaning, classifying, and the kommKz table."""
