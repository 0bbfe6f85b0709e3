"""Measurements of what the agent promises, each beside a peer or a physical limit in the same run.

`scripts/bench` runs them; docs/measurements.md says what each row means and what was found.
"""
