"""`lorabay inspect`: the facts and effects of one adapter, or the differences between two."""
