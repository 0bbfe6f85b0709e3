"""Real processes around a station: the broker, for demo, tests and measurements."""
