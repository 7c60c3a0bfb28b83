"""Sessions: every message exactly once, over a link that loses, repeats, delays and reorders."""
