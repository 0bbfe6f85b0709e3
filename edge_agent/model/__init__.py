"""Values and words of the trade: units, ids, events, commands, records, messages. No I/O."""
