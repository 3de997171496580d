"""One file per provider: submit, poll, refresh, cancel, in the provider's own words."""
