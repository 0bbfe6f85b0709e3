"""A whole station in virtual time, with faults."""
