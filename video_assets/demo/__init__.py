"""The demonstration: a dozen generations, everything that goes wrong, and what must be true in the end."""
