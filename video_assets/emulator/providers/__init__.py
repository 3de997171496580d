"""One provider's wire format each."""
