"""One network on several workers: its shares, what they exchange, and who carries it."""
