"""The life of one request: intake, submission, following, refreshing, cancelling, retrying.

Knows the catalog and the providers; moves no bytes and knows nothing of Dagster or the web.
"""
