"""The legacy workflow: find the temporary URLs of an existing database, save the files, rewrite the rows.

Knows catalog, urls, transfer, providers and generations; knows nothing of Dagster or the web.
"""
