"""`scripts/fuzz`: random prices against an independent reference, and leases under every mishap.

The same seed gives the same cases, however many processes work on them.
"""
