"""Reading for all stages: lists, single records in parallel, and how far a read may be believed."""
