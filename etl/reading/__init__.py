"""What the stages read with: lists, single records in parallel, and what a read may be believed to say."""
