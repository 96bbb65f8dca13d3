"""Not for import: names here may change in any release."""
