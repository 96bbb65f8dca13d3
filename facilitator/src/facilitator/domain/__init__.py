"""What the facilitator decides: pure functions of values."""
