"""The simulated Advoware."""
