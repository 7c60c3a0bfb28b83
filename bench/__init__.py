"""What a message costs, measured: ``make bench``."""
