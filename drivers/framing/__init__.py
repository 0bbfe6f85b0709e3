"""Parts that several protocols are made of: checksums, packed BCD, splitting streams."""
