"""Twenty stations and one headquarters, lent money and points, under every mishap at once.

Headquarters is the real one: its rules over SQLite, spoken to in the bytes of the wire. A station
is the real downlink, uplink window and lease rules (`core.leases`) over books on paper
(`paper_books`), or over its real store (`--real`). `truth` keeps account of what really happened,
apart from both.
"""
