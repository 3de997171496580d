"""Download, verify, store, read back, commit: all or nothing."""
