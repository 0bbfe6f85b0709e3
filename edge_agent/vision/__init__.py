"""Plates from camera pictures: find, straighten, read twice, vote; in a process of its own."""
