"""Reading documents without losing a byte: where their strings stand, and how to spell them again.

``views`` holds the one idea: a decoded text that remembers where every character came from. Each ``*_spans``
module knows one grammar and only says where its strings are. ``reader`` puts them together.
"""
