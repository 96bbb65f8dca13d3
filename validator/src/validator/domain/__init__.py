"""What the validator decides, as pure functions: values in, values out."""
