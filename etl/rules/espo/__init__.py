"""What is special about EspoCRM: items, rights, shared address rows, the errors its users read."""
