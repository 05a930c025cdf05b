"""The simulated EspoCRM."""
