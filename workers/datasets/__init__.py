"""The field's benchmark sets as they lie on disk, and scores that cannot be won by accident."""
