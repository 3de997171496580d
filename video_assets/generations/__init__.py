"""The life of one request: intake, submission, following, cancelling. Knows providers and the catalog."""
