"""What must happen, pure: no I/O, no clock, no logging (rules.md)."""
