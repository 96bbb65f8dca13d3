"""The smallest service there can be, for the tests of what services share."""
