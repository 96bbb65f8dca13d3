"""Changes of rows, one transaction each."""
