"""One file for each table: what is saved, loaded, updated."""
