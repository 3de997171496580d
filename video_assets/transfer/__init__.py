"""Moving bytes safely: the address guard, the guarded downloader, and the rescue saga."""
