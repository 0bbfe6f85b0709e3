"""Pure decisions: fuelling points, prices, promotions, settlement, visits, authorisation."""
