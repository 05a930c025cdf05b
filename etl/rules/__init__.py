"""What must happen, pure: no I/O, no clock, no logging (README.md beside this file)."""
