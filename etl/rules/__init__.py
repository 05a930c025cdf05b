"""The rules, as pure code: no I/O, no clock, no logging (README.md beside this file)."""
