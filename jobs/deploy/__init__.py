"""advosync as a service: units for systemd and a container file, to copy and adapt. The README says how."""
