"""What serial protocols share on the byte level: check sums, BCD, bounded buffers."""
