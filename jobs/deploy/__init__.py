"""advosync as a service: units for systemd and a container file, to copy and adapt. jobs/README.md says how."""
