"""What a station's TOML may say, where it lies, and the plan that it makes."""
