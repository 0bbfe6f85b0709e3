"""Dispenser and tank-gauge drivers: one protocol family a folder, bytes on one side, events on the other."""
