"""Client keys: what one is made of, and who a caller is. Pure, but for new keys' randomness."""
