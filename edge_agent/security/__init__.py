"""Keys of the station: whose signatures it trusts, and under which key it looks members up."""
