"""Drivers: one protocol family a folder, bytes on one side and dispenser events on the other."""
