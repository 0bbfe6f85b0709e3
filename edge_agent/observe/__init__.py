"""What the agent tells of itself: logs, metrics, systemd, and whether its clock can be believed."""
