"""Values and words of the trade: units, ids, events, commands, ledger records, wire messages, errors. No I/O."""
