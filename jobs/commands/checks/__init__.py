"""What `check` and `setup-espocrm` ask of EspoCRM and Advoware, and the findings they return."""
