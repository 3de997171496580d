"""The legacy road: find the temporary URLs of a database that exists already, save the files, rewrite the rows.

Knows catalog, urls, transfer, providers and generations; knows nothing of Dagster or the web.
"""
