"""From checkpoints made elsewhere to a pair."""
